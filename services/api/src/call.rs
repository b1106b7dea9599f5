//! What every call has in common: a place among the calls under way, a deadline, a trace, a count.

use std::{sync::Arc, time::Duration};

use ports::Traceparent;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tonic::{Code, Response, Status, metadata::MetadataMap};

use crate::{denial::Denial, observe::Observed};

/// Bounds the calls under way.
pub(crate) struct Calls {
    places: Arc<Semaphore>,
    time_max: Duration,
}

/// What a call brings besides its message.
pub(crate) struct Context {
    /// When the answer must be there: the caller's deadline or the api's own, the earlier.
    pub(crate) deadline: Instant,
    /// The trace that the call is part of: under the call's own span if that has one, else as it came.
    pub(crate) traceparent: Option<Traceparent>,
}

impl Calls {
    pub(crate) fn new(calls_max: usize, time_max: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(calls_max)), time_max }
    }

    /// Takes a place for as long as the permit lives. Never waits: a queue here would only hide the load.
    pub(crate) fn take_place(&self) -> Result<OwnedSemaphorePermit, Denial> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Denial::Busy("too many calls are under way"))
    }

    /// Runs one unary call within its bounds and counts it.
    pub(crate) async fn run<T, F>(
        &self,
        method: &'static str,
        metadata: &MetadataMap,
        work: impl FnOnce(Context) -> F + Send,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<T, Denial>> + Send,
    {
        let parent = traceparent(metadata);
        let mut observed = Observed::traced(method, parent);
        let traceparent = observed.traceparent().or(parent);
        let answer = self.bounded(metadata, traceparent, work).await;
        if let Err(denial) = &answer {
            observed.refused(denial, traceparent);
        }
        let answer = answer.map(Response::new).map_err(Status::from);
        observed.ends_with(answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
        answer
    }

    async fn bounded<T, F>(
        &self,
        metadata: &MetadataMap,
        traceparent: Option<Traceparent>,
        work: impl FnOnce(Context) -> F + Send,
    ) -> Result<T, Denial>
    where
        F: Future<Output = Result<T, Denial>> + Send,
    {
        let _place = self.take_place()?;
        let deadline =
            Instant::now() + timeout(metadata).map_or(self.time_max, |t| t.min(self.time_max));
        let context = Context { deadline, traceparent };
        tokio::time::timeout_at(deadline, work(context)).await.unwrap_or(Err(Denial::Late))
    }
}

/// The trace to continue. What can't be one is left out: it would be copied into the log for good.
pub(crate) fn traceparent(metadata: &MetadataMap) -> Option<Traceparent> {
    metadata.get(Traceparent::HEADER)?.to_str().ok()?.parse().ok()
}

/// How long the caller waits (`grpc-timeout`), less a little so that the answer gets there in time and is this api's
/// `DEADLINE_EXCEEDED` rather than tonic's `CANCELLED`.
pub(crate) fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let given = parse_timeout(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    Some(given.saturating_sub((given / 10).min(Duration::from_millis(10))))
}

/// At most eight digits and a unit, as the gRPC specification has it.
fn parse_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3_600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_nothing_else() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7_200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("100m", Some(Duration::from_millis(100))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789S", None),
            ("S", None),
            ("5", None),
            ("-5S", None),
            ("", None),
            ("5é", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_trace_is_passed_on_only_if_it_can_be_one() {
        let traced = |value: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("traceparent", value.parse().unwrap());
            traceparent(&metadata)
        };
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traced(trace).map(|trace| trace.to_string()).as_deref(), Some(trace));
        assert_eq!(traced("hello"), None);
    }
}
