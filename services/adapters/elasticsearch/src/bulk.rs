//! Bulk requests: many documents into few bodies, and the answers back to one outcome a document.

use elasticsearch::{BulkParts, Elasticsearch};
use ports::{IndexOutcome, MetricDocument, OrderDocument, SearchError, TransitionDocument};
use serde::{Deserialize, Serialize};

use crate::answer::{Failure, answer, is_later};

/// Where documents go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// To whatever this alias is on.
    Alias(&'a str),
    /// To this index.
    Index(&'a str),
    /// To the data stream of this name.
    Stream(&'a str),
}

/// What can be written in bulk.
pub(crate) trait Document: Serialize {
    fn version(&self) -> u64;
    fn action(&self) -> Action;
}

impl Document for OrderDocument {
    fn version(&self) -> u64 {
        self.version
    }

    fn action(&self) -> Action {
        // Promise 6: the index compares versions itself, so no order of requests can take an order back.
        let (id, version) = (self.order_id.clone(), self.version);
        Action::Index { id, version, version_type: "external" }
    }
}

impl Document for TransitionDocument {
    fn version(&self) -> u64 {
        self.version
    }

    fn action(&self) -> Action {
        // What is there by that id stays: a repeat changes nothing.
        Action::Create { id: self.id() }
    }
}

impl Document for MetricDocument {
    /// It has none: it is written once.
    fn version(&self) -> u64 {
        0
    }

    fn action(&self) -> Action {
        // As with transitions: what is told twice is there once.
        Action::Create { id: self.id() }
    }
}

impl<'a> Target<'a> {
    const fn name(self) -> &'a str {
        match self {
            Self::Alias(name) | Self::Index(name) | Self::Stream(name) => name,
        }
    }

    /// Whether what is missing is an index that it led to, not what was asked for.
    fn leads_elsewhere(self, missing: &Failure) -> bool {
        match self {
            Self::Alias(alias) => missing.is_of_other_index(alias),
            Self::Index(_) | Self::Stream(_) => false,
        }
    }
}

/// Documents as Elasticsearch takes them, with the outcome of those that it need not see.
struct Bulk {
    body: Vec<u8>,
    outcomes: Vec<Option<IndexOutcome>>,
}

/// The line before a document.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Writes it, in the place of an older one.
    Index {
        #[serde(rename = "_id")]
        id: String,
        version: u64,
        version_type: &'static str,
    },
    /// Writes it unless there is one.
    Create {
        #[serde(rename = "_id")]
        id: String,
    },
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(alias = "index", alias = "create")]
    result: ItemResult,
}

#[derive(Deserialize)]
struct ItemResult {
    status: u16,
    #[serde(default)]
    error: Failure,
}

/// Writes documents, one request after the other so that an order may come more than once.
pub(crate) async fn write<D: Document>(
    client: &Elasticsearch,
    target: Target<'_>,
    documents: &[D],
    bytes_max: usize,
) -> Result<Vec<IndexOutcome>, SearchError> {
    let mut outcomes = Vec::with_capacity(documents.len());
    let mut rest = documents.iter().peekable();
    while rest.peek().is_some() {
        let mut bulk = Bulk { body: Vec::new(), outcomes: Vec::new() };
        while let Some(document) = rest.next_if(|_| bulk.body.len() < bytes_max) {
            bulk.add(document)?;
        }
        outcomes.extend(bulk.send(client, target).await?);
    }
    Ok(outcomes)
}

impl Bulk {
    fn add(&mut self, document: &impl Document) -> Result<(), SearchError> {
        // One number that Elasticsearch can't read would fail the whole request.
        let version = document.version();
        if i64::try_from(version).is_err() {
            let detail = format!("version {version} is beyond what an index can hold");
            self.outcomes.push(Some(IndexOutcome::Refused(detail)));
            return Ok(());
        }
        let action = document.action();
        let write = |body: &mut Vec<u8>| {
            serde_json::to_writer(&mut *body, &action)?;
            body.push(b'\n');
            serde_json::to_writer(&mut *body, document)?;
            body.push(b'\n');
            Ok(())
        };
        write(&mut self.body).map_err(|error: serde_json::Error| {
            SearchError::Unfit(format!("a document can't be written as JSON: {error}"))
        })?;
        self.outcomes.push(None);
        Ok(())
    }

    async fn send(
        self,
        client: &Elasticsearch,
        target: Target<'_>,
    ) -> Result<Vec<IndexOutcome>, SearchError> {
        let mut items = Vec::new().into_iter();
        if !self.body.is_empty() {
            // If someone deletes the alias, nothing must come up in its place with guessed fields; an index that is gone
            // does not come up again by its template.
            let sent = client
                .bulk(BulkParts::Index(target.name()))
                .require_alias(matches!(target, Target::Alias(_)))
                .require_data_stream(matches!(target, Target::Stream(_)))
                .filter_path(&["items.*.status", "items.*.error"])
                .body(vec![self.body])
                .send();
            let answer: BulkAnswer = answer(sent).await?.read()?;
            items = answer.items.into_iter();
        }
        let outcomes = self.outcomes.into_iter().map(|known| match known {
            Some(outcome) => Ok(outcome),
            None => items.next().map_or_else(too_few, |item| outcome(&item.result, target)),
        });
        outcomes.collect()
    }
}

fn too_few() -> Result<IndexOutcome, SearchError> {
    Err(SearchError::Unfit("it answered for fewer documents than it was given".to_owned()))
}

/// What an item's status means for its document, or for all of them.
fn outcome(item: &ItemResult, target: Target<'_>) -> Result<IndexOutcome, SearchError> {
    match item.status {
        200..300 => Ok(IndexOutcome::Indexed),
        409 => Ok(IndexOutcome::Stale),
        status if is_later(status, &item.error) => {
            Err(SearchError::Unavailable(item.error.describe()))
        }
        // The alias has moved on while the request was under way: it finds the new index the next time.
        404 if target.leads_elsewhere(&item.error) => {
            Err(SearchError::Unavailable(item.error.describe()))
        }
        // Not the document's fault: the index lacks a field, and would refuse every other document as well.
        400 if item.error.r#type() == "strict_dynamic_mapping_exception" => {
            Err(SearchError::Unfit(item.error.describe()))
        }
        400 | 413 => Ok(IndexOutcome::Refused(item.error.describe())),
        _ => Err(SearchError::Unfit(item.error.describe())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome_of(status: u16, r#type: &str) -> Result<IndexOutcome, SearchError> {
        outcome_in(status, r#type, "orders-write")
    }

    fn outcome_in(status: u16, r#type: &str, index: &str) -> Result<IndexOutcome, SearchError> {
        let error = json!({ "type": r#type, "reason": "because", "index": index });
        let item = json!({ "status": status, "error": error });
        outcome(&serde_json::from_value(item).unwrap(), Target::Alias("orders-write"))
    }

    #[test]
    fn an_item_is_judged_by_what_can_be_done_about_it() {
        assert_eq!(outcome_of(200, "").unwrap(), IndexOutcome::Indexed);
        assert_eq!(outcome_of(201, "").unwrap(), IndexOutcome::Indexed);
        let stale = outcome_of(409, "version_conflict_engine_exception");
        assert_eq!(stale.unwrap(), IndexOutcome::Stale);
        let refused = outcome_of(400, "document_parsing_exception").unwrap();
        let detail = "document_parsing_exception: because".to_owned();
        assert_eq!(refused, IndexOutcome::Refused(detail));
    }

    #[test]
    fn what_is_not_the_documents_fault_fails_the_request() {
        for (status, r#type) in [
            (429, "es_rejected_execution_exception"),
            (503, "unavailable_shards_exception"),
            (403, "cluster_block_exception"),
        ] {
            let failed = outcome_of(status, r#type);
            assert!(matches!(failed, Err(SearchError::Unavailable(_))), "{status} {failed:?}");
        }
        for (status, r#type) in [
            (400, "strict_dynamic_mapping_exception"),
            (403, "security_exception"),
            (404, "index_not_found_exception"),
        ] {
            let failed = outcome_of(status, r#type);
            assert!(matches!(failed, Err(SearchError::Unfit(_))), "{status} {failed:?}");
        }
    }

    #[test]
    fn an_index_that_gave_way_is_not_a_missing_alias() {
        let gone = |index| outcome_in(404, "index_not_found_exception", index);
        assert!(matches!(gone("orders-g1"), Err(SearchError::Unavailable(_))));
        assert!(matches!(gone("orders-write"), Err(SearchError::Unfit(_))));
    }
}
