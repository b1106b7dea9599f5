//! Filters, positions and pages, as the requests that read many orders share them.

use chrono::{DateTime, Utc};
use codec::Violations;
use events::OrderId;
use ports::{Offset, OrderFilter, Partition, Position};
use proto::v1;
use uuid::Uuid;

use crate::token::{self, TokenKind};

/// The longest text of a filter, in bytes: longer ones match nothing.
const TEXT_MAX: usize = 400;
/// The largest page.
const PAGE_MAX: u32 = 1_000;

/// Parses a filter; what is left out matches everything.
pub(crate) fn parse_filter(
    filter: Option<&v1::OrderFilter>,
    faults: &mut Violations,
) -> Option<OrderFilter> {
    let Some(filter) = filter else { return Some(OrderFilter::default()) };
    let states: Option<Vec<_>> =
        filter.states.iter().map(|state| codec::state_from_proto(*state)).collect();
    let states = faults.check("filter.states", states.ok_or("must be states of the state machine"));
    let region = parse_text("filter.region", &filter.region, faults);
    let customer_email = parse_text("filter.customer_email", &filter.customer_email, faults);
    let placed_from = parse_instant("filter.placed_from", filter.placed_from.as_ref(), faults);
    let placed_until = parse_instant("filter.placed_until", filter.placed_until.as_ref(), faults);
    Some(OrderFilter {
        states: states?,
        region: region?,
        customer_email: customer_email?,
        placed_from: placed_from?,
        placed_until: placed_until?,
    })
}

/// A text that may be left out.
pub(crate) fn parse_text(
    field: &str,
    text: &str,
    faults: &mut Violations,
) -> Option<Option<String>> {
    if text.len() > TEXT_MAX {
        faults.add(field, format_args!("must have at most {TEXT_MAX} bytes, has {}", text.len()));
        return None;
    }
    Some((!text.is_empty()).then(|| text.to_owned()))
}

/// An instant that may be left out.
pub(crate) fn parse_instant(
    field: &str,
    instant: Option<&prost_types::Timestamp>,
    faults: &mut Violations,
) -> Option<Option<DateTime<Utc>>> {
    let Some(instant) = instant else { return Some(None) };
    let parsed = codec::decode_instant(Some(instant)).ok_or("must be an instant");
    faults.check(field, parsed).map(Some)
}

/// A position that may be left out.
pub(crate) fn parse_position(
    field: &str,
    position: Option<v1::LogPosition>,
    faults: &mut Violations,
) -> Option<Option<Position>> {
    let Some(v1::LogPosition { partition, offset }) = position else { return Some(None) };
    if offset < 0 {
        faults.add(format!("{field}.offset"), "must not be negative");
        return None;
    }
    Some(Some(Position { partition: Partition(partition), offset: Offset(offset) }))
}

/// How many to send; `default` if the caller does not say.
pub(crate) fn parse_page_size(size: u32, default: u32, faults: &mut Violations) -> Option<usize> {
    if size > PAGE_MAX {
        faults.add("page_size", format_args!("must be at most {PAGE_MAX}"));
        return None;
    }
    usize::try_from(if size == 0 { default } else { size }).ok()
}

/// After which order the page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageKey {
    pub(crate) placed_at: DateTime<Utc>,
    pub(crate) order_id: OrderId,
}

impl PageKey {
    /// The token that brings the caller to the page after this key, of the same question.
    pub(crate) fn token(self, kind: TokenKind, question: u64) -> String {
        let mut bytes = question.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.placed_at.timestamp_micros().to_be_bytes());
        bytes.extend_from_slice(self.order_id.as_uuid().as_bytes());
        token::seal(kind, &bytes)
    }

    /// Parses a page token, which may be left out.
    pub(crate) fn parse(
        kind: TokenKind,
        question: u64,
        token: &str,
        faults: &mut Violations,
    ) -> Option<Option<Self>> {
        if token.is_empty() {
            return Some(None);
        }
        let key = token::open(kind, token).and_then(|bytes| Self::read(question, &bytes));
        let problem = "must be the token of the page before, with the same filter";
        faults.check("page_token", key.ok_or(problem)).map(Some)
    }

    fn read(question: u64, mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let same = u64::from_be_bytes(token::take(bytes)?) == question;
        let micros = i64::from_be_bytes(token::take(bytes)?);
        let order_id = OrderId::new(Uuid::from_bytes(token::take(bytes)?));
        let placed_at = DateTime::from_timestamp_micros(micros)?;
        (same && bytes.is_empty()).then_some(Self { placed_at, order_id })
    }
}

/// A digest of a question, so that a page token is not used with another one.
pub(crate) fn digest(question: &impl prost::Message) -> u64 {
    // FNV-1a: what it guards against is a slip, not an attack.
    question.encode_to_vec().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
