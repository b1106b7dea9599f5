//! Following partitions outside of any group.

use async_trait::async_trait;
use ports::{Follower, LogError, LogRecord, Offset, Position};

use super::{cursor::Cursor, pending::Ends};

pub(super) struct Tail(Cursor);

impl Tail {
    /// Starts to read from these places, if the log holds them.
    pub(super) fn start(
        mut cursor: Cursor,
        ends: &Ends,
        from: &[Position],
    ) -> Result<Self, LogError> {
        for Position { partition, offset } in from {
            let Some(end) = ends.get(cursor.topic, *partition) else {
                let topic = cursor.topic.name();
                return Err(LogError::Unfit(format!("{topic} has no partition {partition}")));
            };
            // Nothing expires here: every partition begins at the start.
            if *offset < Offset::START {
                let (partition, asked) = (*partition, *offset);
                return Err(LogError::Expired { partition, asked, first: Offset::START });
            }
            if *offset > end {
                return Err(LogError::Unfit(format!(
                    "{} partition {partition} ends at {end}, but is to be read from {offset}",
                    cursor.topic.name()
                )));
            }
        }
        cursor.place(from)?;
        Ok(Self(cursor))
    }
}

#[async_trait]
impl Follower for Tail {
    async fn next(&mut self) -> Result<Vec<LogRecord>, LogError> {
        let Self(cursor) = self;
        loop {
            if let Some(records) = cursor.records().await? {
                return Ok(records);
            }
            if !cursor.is_behind() {
                cursor.grown().await?;
            }
        }
    }
}
