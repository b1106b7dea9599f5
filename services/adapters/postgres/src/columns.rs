//! Values as columns hold them, and back.

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use events::{Digest, FOLD_VERSION, OrderId, State, Version};
use ports::{Offset, Partition, Position};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::error::Error;

/// Logs count partitions with 31 bits; what is beyond is a partition that no one ever bound.
pub(crate) fn partition(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// The fold's version as a column holds it.
pub(crate) fn fold_version() -> i32 {
    i32::try_from(FOLD_VERSION).unwrap_or(i32::MAX)
}

/// Generations are few.
pub(crate) fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Versions count events: they never come near the limit.
pub(crate) fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// More rows than can be counted are all of them.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// An instant that is compared: cut to the microsecond that a column holds. (The driver would cut towards 2000.)
pub(crate) fn instant(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// When a claim made at `now` runs out.
pub(crate) fn lease_end(now: DateTime<Utc>, lease: Duration) -> DateTime<Utc> {
    let lease = TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(lease).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Texts from elsewhere may hold the one character that no text column takes.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

pub(crate) fn order_id(row: &PgRow) -> Result<OrderId, Error> {
    Ok(OrderId::new(row.try_get::<Uuid, _>("order_id")?))
}

pub(crate) fn version_from(row: &PgRow) -> Result<Version, Error> {
    Ok(Version::new(unsigned(row.try_get("version")?)?))
}

pub(crate) fn partition_from(row: &PgRow) -> Result<Partition, Error> {
    let partition: i32 = row.try_get("partition")?;
    u32::try_from(partition).map(Partition).map_err(|_| negative(partition))
}

pub(crate) fn position(row: &PgRow) -> Result<Position, Error> {
    Ok(Position { partition: partition_from(row)?, offset: Offset(row.try_get("offset")?) })
}

pub(crate) fn digest(row: &PgRow) -> Result<Digest, Error> {
    let bytes: &[u8] = row.try_get("digest")?;
    bytes
        .try_into()
        .map(Digest::new)
        .map_err(|_| Error::Corrupt(format!("a digest has {} bytes where 32 are due", bytes.len())))
}

pub(crate) fn state(row: &PgRow, column: &str) -> Result<Option<State>, Error> {
    let name: Option<&str> = row.try_get(column)?;
    name.map(|name| named(column, name, State::from_name)).transpose()
}

/// What a column's name stands for.
pub(crate) fn named<T>(
    column: &str,
    name: &str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, Error> {
    from_name(name).ok_or_else(|| {
        Error::Corrupt(format!("column {column} holds {name:?}, which this version does not know"))
    })
}

pub(crate) fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| negative(number))
}

pub(crate) fn negative(number: impl Into<i64>) -> Error {
    let number = number.into();
    Error::Corrupt(format!("{number} is stored where nothing below 0 can be"))
}
