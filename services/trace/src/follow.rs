//! Which traces are followed.

use std::sync::OnceLock;

use opentelemetry::{global, global::BoxedTracer};
use ports::Traceparent;

/// Set once by the process; where it is not, no trace is followed and what others began is only passed on.
static FOLLOWING: OnceLock<Following> = OnceLock::new();

/// How traces are followed, and what the servers are called in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Of calls that bring no trace of their own, how many begin one: from 0, none, to 1, each.
    pub ratio: f64,
    /// What kind of log there is: `kafka`, or another.
    pub log: &'static str,
    /// What kind of search index there is: `elasticsearch`, or another.
    pub index: &'static str,
    /// What the log puts before the names of topics and groups.
    pub topic_prefix: String,
    /// What the search index puts before the names of its indices.
    pub index_prefix: String,
}

pub(crate) struct Following {
    pub(crate) tracer: BoxedTracer,
    pub(crate) settings: Settings,
}

/// Follows traces from now on, with the tracer provider that is installed. The first word counts.
pub fn start(settings: Settings) {
    FOLLOWING.get_or_init(|| Following { tracer: global::tracer("order-ledger"), settings });
}

pub(crate) fn following() -> Option<&'static Following> {
    FOLLOWING.get()
}

/// The parent of a span to come: `None` if the trace is not kept, or no spans are made here.
#[must_use]
pub fn followed(parent: Option<Traceparent>) -> Option<Traceparent> {
    parent.filter(|parent| parent.is_sampled() && following().is_some())
}

/// What a span goes on from.
pub(crate) enum Origin {
    Parent(Traceparent),
    /// The trace begins here.
    Root,
}

impl Following {
    /// Whoever began a trace has decided whether it is kept; where there is none, the dice do.
    pub(crate) fn origin(&self, parent: Option<Traceparent>) -> Option<Origin> {
        match parent {
            Some(parent) => parent.is_sampled().then_some(Origin::Parent(parent)),
            None => (fastrand::f64() < self.settings.ratio).then_some(Origin::Root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following(ratio: f64) -> Following {
        let (topic_prefix, index_prefix) = (String::new(), String::new());
        let settings = Settings { ratio, log: "log", index: "index", topic_prefix, index_prefix };
        Following { tracer: global::tracer("test"), settings }
    }

    #[test]
    fn whoever_began_a_trace_has_decided() {
        let [kept, left] = [1, 0].map(|flags| Traceparent::new(7, 9, flags).unwrap());
        for ratio in [0.0, 0.5, 1.0] {
            let following = following(ratio);
            for _ in 0..100 {
                let goes_on = following.origin(Some(kept));
                assert!(matches!(goes_on, Some(Origin::Parent(parent)) if parent == kept));
                assert!(following.origin(Some(left)).is_none());
            }
        }
    }

    #[test]
    fn without_one_so_many_begin_as_are_wanted() {
        let begun = |ratio| {
            let following = following(ratio);
            (0..10_000).filter(|_| following.origin(None).is_some()).count()
        };
        assert_eq!(begun(0.0), 0);
        assert_eq!(begun(1.0), 10_000);
        // Six standard deviations to either side.
        let few = begun(0.1);
        assert!((820..1_180).contains(&few), "{few} of 10000");
    }

    #[test]
    fn where_no_one_follows_nothing_is_followed() {
        assert_eq!(followed(Traceparent::new(7, 9, 1)), None);
    }
}
