//! What is in the files.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use ports::{Header, LogRecord, NewRecord, Offset, Partition, Position, partition_for_key};
use serde::{Deserialize, Serialize};

/// The name of the file that names the others.
pub(crate) const MANIFEST: &str = "manifest.json";
/// What a manifest calls itself.
pub(crate) const FORMAT: &str = "order-ledger.log";
/// The only version there is.
pub(crate) const VERSION: u32 = 1;

/// Which manifest it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// What an archive holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) topic: String,
    pub(crate) exported_at: DateTime<Utc>,
    pub(crate) partitions: Vec<PartitionEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PartitionEntry {
    pub(crate) partition: u32,
    /// Every record below is there.
    pub(crate) end_offset: i64,
    pub(crate) files: Vec<FileEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) records: u64,
    /// Of these, records that belong to no order.
    pub(crate) strays: u64,
    /// Of the file as it lies there, in hexadecimal.
    pub(crate) blake3: String,
}

/// One record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    offset: i64,
    appended_at: Option<DateTime<Utc>>,
    key: Option<Octets>,
    value: Option<Base64>,
    headers: Vec<(String, Octets)>,
}

/// Bytes that are mostly text: as it is, or in Base64 if they are none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Octets {
    Text(String),
    Bytes { base64: Base64 },
}

/// Bytes, in Base64 (RFC 4648) with padding.
#[derive(Debug, Serialize, Deserialize)]
struct Base64(String);

impl From<&Bytes> for Base64 {
    fn from(bytes: &Bytes) -> Self {
        Self(BASE64.encode(bytes))
    }
}

impl TryFrom<Base64> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(Base64(text): Base64) -> Result<Self, Self::Error> {
        BASE64.decode(text).map(Self::from)
    }
}

impl From<&Bytes> for Octets {
    fn from(bytes: &Bytes) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { base64: bytes.into() },
        }
    }
}

impl TryFrom<Octets> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(octets: Octets) -> Result<Self, Self::Error> {
        match octets {
            Octets::Text(text) => Ok(text.into()),
            Octets::Bytes { base64 } => base64.try_into(),
        }
    }
}

impl From<&LogRecord> for Line {
    fn from(record: &LogRecord) -> Self {
        let LogRecord { position, appended_at, key, value, headers } = record;
        Self {
            offset: position.offset.0,
            appended_at: *appended_at,
            key: key.as_ref().map(Octets::from),
            value: value.as_ref().map(Base64::from),
            headers: headers.iter().map(|(name, value)| (name.clone(), value.into())).collect(),
        }
    }
}

impl Line {
    /// The record as it was read.
    pub(crate) fn into_record(
        self,
        partition: Partition,
    ) -> Result<LogRecord, base64::DecodeError> {
        let header = |(name, value): (String, Octets)| Ok((name, Bytes::try_from(value)?));
        Ok(LogRecord {
            position: Position { partition, offset: Offset(self.offset) },
            appended_at: self.appended_at,
            key: self.key.map(Bytes::try_from).transpose()?,
            value: self.value.map(Bytes::try_from).transpose()?,
            headers: self.headers.into_iter().map(header).collect::<Result<Vec<Header>, _>>()?,
        })
    }
}

/// The record to append for one that was read; `None` if it belongs to no order.
pub(crate) fn again(record: LogRecord, partitions: u32) -> Option<NewRecord> {
    let (key, value) = (record.key?, record.value?);
    let home = partition_for_key(&key, partitions);
    (home == record.position.partition).then_some(NewRecord { key, value, headers: record.headers })
}
