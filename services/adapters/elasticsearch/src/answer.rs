//! What Elasticsearch answered, sorted by what the caller can do about it.

use std::error::Error;

use elasticsearch::http::response::Response;
use ports::SearchError;
use serde::{Deserialize, de::DeserializeOwned};

/// An answer that is neither "later" nor "you may not".
pub(crate) struct Answer {
    status: u16,
    body: String,
}

/// The `error` of a failed request or bulk item.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Failure {
    r#type: String,
    reason: Option<String>,
    /// Which index it is about.
    index: Option<String>,
    caused_by: Option<Box<Self>>,
    root_cause: Vec<Self>,
}

#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

/// Waits for an answer.
///
/// # Errors
/// [`SearchError::Unavailable`] without one, or if it means "later"; [`SearchError::Unfit`] if it means "you may not".
pub(crate) async fn answer(
    sent: impl Future<Output = Result<Response, elasticsearch::Error>>,
) -> Result<Answer, SearchError> {
    sort(received(sent).await?)
}

/// Asks for what an alias leads to, and once more if no shard of it was there: an index that gives way to another is gone
/// before the last who were led to it have read.
///
/// # Errors
/// As [`answer`].
pub(crate) async fn ask<F>(send: impl Fn() -> F) -> Result<Answer, SearchError>
where
    F: Future<Output = Result<Response, elasticsearch::Error>>,
{
    let first = received(send()).await?;
    if first.failure().is_unrouted() { answer(send()).await } else { sort(first) }
}

async fn received(
    sent: impl Future<Output = Result<Response, elasticsearch::Error>>,
) -> Result<Answer, SearchError> {
    let response = sent.await.map_err(|error| unavailable(&error))?;
    let status = response.status_code().as_u16();
    let body = response.text().await.map_err(|error| unavailable(&error))?;
    Ok(Answer { status, body })
}

fn sort(answer: Answer) -> Result<Answer, SearchError> {
    let status = answer.status;
    match status {
        _ if is_later(status, &answer.failure()) => {
            Err(SearchError::Unavailable(answer.describe()))
        }
        401 | 403 => Err(SearchError::Unfit(answer.describe())),
        _ => Ok(answer),
    }
}

impl Answer {
    /// Whether what was asked for does not exist.
    pub(crate) const fn is_missing(&self) -> bool {
        self.status == 404
    }

    /// Whether the request failed with an error of this type.
    pub(crate) fn failed_with(&self, r#type: &str) -> bool {
        self.failure().r#type == r#type
    }

    /// Takes the answer as a success.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if it is none: what is asked for here has no other way to fail.
    pub(crate) fn success(self) -> Result<Self, SearchError> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(SearchError::Unfit(self.describe()))
        }
    }

    /// Reads a successful answer.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if it is none, or not what Elasticsearch answers.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, SearchError> {
        let answer = self.success()?;
        serde_json::from_str(&answer.body).map_err(|error| {
            SearchError::Unfit(format!("it does not answer as Elasticsearch does: {error}"))
        })
    }

    fn failure(&self) -> Failure {
        serde_json::from_str::<Failed>(&self.body).map(|failed| failed.error).unwrap_or_default()
    }

    fn describe(&self) -> String {
        format!("it answered {}: {}", self.status, self.failure().describe())
    }
}

impl Failure {
    pub(crate) fn r#type(&self) -> &str {
        &self.r#type
    }

    /// Whether an index is missing, and not the one that was asked for by this name.
    pub(crate) fn is_of_other_index(&self, name: &str) -> bool {
        self.r#type == "index_not_found_exception"
            && self.index.as_deref().is_some_and(|index| index != name)
    }

    /// Whether there was no shard to answer.
    pub(crate) fn is_unrouted(&self) -> bool {
        let is = |failure: &Self| failure.r#type == "no_shard_available_action_exception";
        is(self) || self.root_cause.iter().any(is)
    }

    /// Type and reason, down to the root cause, cut off where no one reads on.
    pub(crate) fn describe(&self) -> String {
        const CHARS_MAX: usize = 1_000;
        let mut told = Vec::new();
        let mut next = Some(self);
        while let Some(failure) = next {
            let kind = if failure.r#type.is_empty() { "no reason given" } else { &failure.r#type };
            told.push(match &failure.reason {
                Some(reason) => format!("{kind}: {reason}"),
                None => kind.to_owned(),
            });
            next = failure.caused_by.as_deref();
        }
        told.join("; ").chars().take(CHARS_MAX).collect()
    }
}

/// Whether the same request may well succeed in a while: the cluster is busy, starting, out of disk, or blocked by an
/// operator for the time being.
pub(crate) fn is_later(status: u16, failure: &Failure) -> bool {
    matches!(status, 408 | 429 | 500..)
        || failure.r#type == "cluster_block_exception"
        || failure.r#type == "process_cluster_event_timeout_exception"
}

fn unavailable(error: &elasticsearch::Error) -> SearchError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // The client repeats its cause's text at times.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    SearchError::Unavailable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_down_to_its_cause() {
        let body = r#"{"error":{"root_cause":[],"type":"outer","reason":"it broke",
            "caused_by":{"type":"inner","reason":null}},"status":400}"#;
        let answer = Answer { status: 400, body: body.to_owned() };
        assert_eq!(answer.describe(), "it answered 400: outer: it broke; inner");
        assert!(answer.failed_with("outer"));
    }

    #[test]
    fn an_answer_that_is_not_of_elasticsearch_is_told_apart() {
        let html = || Answer { status: 200, body: "<html>".to_owned() };
        assert!(matches!(html().read::<Failed>(), Err(SearchError::Unfit(_))));
        let error = Answer { status: 404, ..html() }.success().err().unwrap();
        assert!(error.to_string().ends_with("it answered 404: no reason given"), "{error}");
    }

    #[test]
    fn busy_and_blocked_mean_later() {
        let blocked =
            Failure { r#type: "cluster_block_exception".to_owned(), ..Failure::default() };
        assert!(is_later(403, &blocked));
        for (status, later) in [(200, false), (400, false), (403, false), (429, true), (503, true)]
        {
            assert_eq!(is_later(status, &Failure::default()), later, "{status}");
        }
    }
}
