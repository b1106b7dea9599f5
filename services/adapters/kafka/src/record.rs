//! From a message as fetched to a record of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use ports::{Header, LogRecord, Offset, Partition, Position};
use rdkafka::{
    Message as _,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};

/// Copies a message, its parts sharing one piece of memory.
pub(crate) fn record(message: &BorrowedMessage<'_>) -> LogRecord {
    const HEADER_BYTES: usize = 48;
    let headers = message.headers();
    let count = headers.map_or(0, |headers| headers.count());
    let parts = message.key_len() + message.payload_len() + count * HEADER_BYTES;
    let mut memory = BytesMut::with_capacity(parts);
    let mut copy = |part: &[u8]| -> Bytes {
        memory.extend_from_slice(part);
        memory.split().freeze()
    };
    LogRecord {
        position: position(message),
        appended_at: message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis),
        key: message.key().map(&mut copy),
        value: message.payload().map(&mut copy),
        headers: headers.map_or_else(Vec::new, |headers| {
            (0..count).filter_map(|index| header(headers, index, &mut copy)).collect()
        }),
    }
}

/// Where a message stands.
pub(crate) fn position(message: &BorrowedMessage<'_>) -> Position {
    Position {
        partition: Partition(u32::try_from(message.partition()).unwrap_or(0)),
        offset: Offset(message.offset()),
    }
}

/// How much memory a record takes, roughly.
pub(crate) fn weight(record: &LogRecord) -> usize {
    let part = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    size_of::<LogRecord>() + part(&record.key) + part(&record.value) + headers
}

/// One header; a null value is an empty one. Anyone may write to the topic, and rdkafka panics over a name that is
/// not UTF-8: such a header is left out, its record is not.
fn header(
    headers: &BorrowedHeaders,
    index: usize,
    copy: &mut impl FnMut(&[u8]) -> Bytes,
) -> Option<Header> {
    let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) else {
        tracing::warn!("a record has a header whose name is not UTF-8: left out");
        return None;
    };
    header.map(|header| (header.key.to_owned(), copy(header.value.unwrap_or_default())))
}
