//! Reading a record: an event of an order that lives there, or a dead letter.

use chrono::{DateTime, Utc};
use codec::DecodeError;
use events::{Event, OrderId};
use ports::{Consumer, DeadLetter, DeadLetterReason, LetterStatus, LogRecord, partition_for_key};

/// Decodes one record of `orders.events`, which has `partitions` partitions.
///
/// # Errors
/// The dead letter that it is, given up at `now`.
pub fn decode(
    record: LogRecord,
    partitions: u32,
    now: DateTime<Utc>,
) -> Result<(LogRecord, Event), Box<DeadLetter>> {
    match read(&record, partitions) {
        Ok(event) => Ok((record, event)),
        Err((reason, detail)) => Err(Box::new(DeadLetter {
            consumer: Consumer::Projector,
            parks: filed_under(&record, partitions),
            record,
            reason,
            detail,
            at: now,
            status: LetterStatus::Open,
        })),
    }
}

fn read(record: &LogRecord, partitions: u32) -> Result<Event, (DeadLetterReason, String)> {
    let Some(value) = &record.value else {
        return Err((DeadLetterReason::NoValue, "the record has no value".to_owned()));
    };
    let event = codec::decode_event(value).map_err(|error| {
        let reason = match error {
            DecodeError::UnknownType => DeadLetterReason::UnknownType,
            DecodeError::Malformed(_) | DecodeError::Invalid(_) => DeadLetterReason::Undecodable,
        };
        (reason, format!("the value {error}"))
    })?;
    let key = event.order_id.to_string();
    if record.key.as_deref() != Some(key.as_bytes()) {
        return Err((
            DeadLetterReason::ForeignKey,
            format!("the record's key is not the order id {key} of its value"),
        ));
    }
    let home = partition_for_key(key.as_bytes(), partitions);
    if home != record.position.partition {
        return Err((
            DeadLetterReason::WrongPartition,
            format!(
                "order {key} lives in partition {home}: the producer must partition by murmur2"
            ),
        ));
    }
    Ok(event)
}

/// The order whose key the record has, if it lives in that partition: the record may be meant for it, so it waits.
pub(crate) fn filed_under(record: &LogRecord, partitions: u32) -> Option<OrderId> {
    let key = record.key.as_deref()?;
    let order: OrderId = std::str::from_utf8(key).ok()?.parse().ok()?;
    // Other spellings of the same id are other keys, and live elsewhere.
    let is_home = order.to_string().as_bytes() == key
        && partition_for_key(key, partitions) == record.position.partition;
    is_home.then_some(order)
}
