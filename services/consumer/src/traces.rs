//! The spans of a batch: one for each record whose trace is followed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ports::{DeadLetter, LogRecord, Position, Topic, Traceparent};
use trace::Span;

use crate::{Changed, Source};

/// Spans under way, by where their records stand. Nearly always empty.
pub(crate) type Spans = BTreeMap<Position, Span>;

impl Source {
    /// Begins the spans of these changes; what is done about each goes on from its span.
    pub(crate) fn begin_spans(&self, changes: &mut [Changed], began: DateTime<Utc>) -> Spans {
        let mut spans = Spans::new();
        for changed in changes {
            let Some(mut span) = self.begin_span(&changed.record, changed.traceparent, began)
            else {
                continue;
            };
            span.set("order_ledger.order_id", changed.change.order.id.to_string());
            span.set("order_ledger.event", changed.change.kind.name());
            changed.traceparent = Some(span.traceparent());
            spans.insert(changed.record.position, span);
        }
        spans
    }

    fn begin_span(
        &self,
        record: &LogRecord,
        parent: Option<Traceparent>,
        began: DateTime<Utc>,
    ) -> Option<Span> {
        let parent = trace::followed(parent)?;
        trace::processing(Topic::StateChanged, self.group(), record.position, parent, began)
    }

    /// Ends them, and says of which nothing came.
    pub(crate) fn end_spans(
        &self,
        mut spans: Spans,
        given_up: &[DeadLetter],
        began: DateTime<Utc>,
    ) {
        let now = self.clock.now();
        for letter in given_up {
            let begun = spans.remove(&letter.record.position).or_else(|| {
                let parent = Traceparent::of(&letter.record.headers);
                self.begin_span(&letter.record, parent, began)
            });
            if let Some(mut span) = begun {
                span.fail(letter.reason.name(), letter.detail.clone());
                span.end_at(now);
            }
        }
        for span in spans.into_values() {
            span.end_at(now);
        }
    }
}
