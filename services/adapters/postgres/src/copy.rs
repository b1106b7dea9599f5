//! Rows in the binary format of COPY (<https://www.postgresql.org/docs/current/sql-copy.html>).

use chrono::{DateTime, TimeZone as _, Utc};
use uuid::Uuid;

/// Rows on their way into one table.
pub(crate) struct Copy(Vec<u8>);

impl Copy {
    pub(crate) fn new() -> Self {
        // The signature, no flags, no extension.
        Self(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec())
    }

    /// Begins a row of so many columns.
    pub(crate) fn row(&mut self, columns: i16) {
        self.0.extend(columns.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn text_or_null(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.bytes(value.as_bytes());
    }

    pub(crate) fn integer(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn bigint(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.bytes(&[value.into()]);
    }

    /// Microseconds since 2000; digits below are cut off towards then, as the driver does.
    pub(crate) fn instant(&mut self, value: DateTime<Utc>) {
        let epoch = Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single().unwrap_or_default();
        self.bigint((value - epoch).num_microseconds().unwrap_or(i64::MAX));
    }

    /// All rows, ended.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.row(-1);
        self.0
    }
}
