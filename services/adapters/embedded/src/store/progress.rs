//! The tables `progress` and `checkpoints`: which partitions there are and how far each has come. It fences projectors.

use events::FOLD_VERSION;
use ports::{
    Checkpoint, CommitError, Epoch, Offset, Partition, PartitionCommit, Place, Position, Progress,
};
use sqlx::{SqliteConnection, SqlitePool};

use crate::database::{self, Error};

/// Whether nothing is folded yet.
pub(super) async fn bind(
    connection: &mut SqliteConnection,
    partitions: u32,
) -> Result<bool, Error> {
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < $1)
         INSERT INTO progress (partition, fold_version) SELECT n, $2 FROM n WHERE NOT EXISTS (SELECT 1 FROM progress)",
    )
    .bind(i64::from(partitions))
    .bind(FOLD_VERSION)
    .execute(&mut *connection)
    .await?;
    let bound: Vec<(u32, i64)> = sqlx::query_as("SELECT fold_version, next_offset FROM progress")
        .fetch_all(connection)
        .await?;
    if u32::try_from(bound.len()) == Ok(partitions) {
        bound.iter().try_for_each(|(fold, _)| check_fold(*fold))?;
        return Ok(bound.iter().all(|(_, next)| *next == 0));
    }
    let bound = bound.len();
    Err(Error::Corrupt(format!(
        "it was made for {bound} partitions of the log, which now has {partitions}: orders would move between them"
    )))
}

/// Writes down that this fold makes the first generation, which was there before anyone folded.
pub(super) async fn say_fold(pool: &SqlitePool) -> Result<(), Error> {
    let said = sqlx::query(
        "UPDATE generations SET fold_version = $1
         WHERE stage = 'live' AND live_at IS NULL AND fold_version <> $1",
    );
    said.bind(FOLD_VERSION).execute(pool).await?;
    Ok(())
}

/// Only what this fold made may be folded further.
const fn check_fold(stored: u32) -> Result<(), Error> {
    if stored == FOLD_VERSION { Ok(()) } else { Err(Error::OtherFold { stored }) }
}

pub(super) async fn load(
    pool: &SqlitePool,
    partitions: &[Partition],
) -> Result<Vec<Progress>, Error> {
    let rows: Vec<(i64, i64, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT partition, next_offset, epoch, announced_offset, digest FROM progress ORDER BY partition",
    )
    .fetch_all(pool)
    .await?;
    let mut progress = Vec::with_capacity(rows.len());
    for (partition, next, epoch, announced, digest) in rows {
        let partition = database::partition(partition)?;
        if partitions.is_empty() || partitions.contains(&partition) {
            let (next, epoch, announced) = (Offset(next), Epoch(epoch), Offset(announced));
            let digest = database::digest(&digest)?;
            progress.push(Progress { partition, next, epoch, announced, digest });
        }
    }
    Ok(progress)
}

/// Compares and sets, one partition after the other; there are few.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    steps: &[PartitionCommit],
) -> Result<(), CommitError> {
    for PartitionCommit { partition, expected, next, announced, digest } in steps.iter().copied() {
        compare(connection, partition, expected).await?;
        sqlx::query(
            "UPDATE progress
             SET next_offset = $2, announced_offset = max(announced_offset, $3), digest = $4
             WHERE partition = $1",
        )
        .bind(i64::from(partition.0))
        .bind(next.0)
        .bind(announced.0)
        .bind(digest.as_bytes().as_slice())
        .execute(&mut *connection)
        .await
        .map_err(Error::from)?;
    }
    Ok(())
}

async fn compare(
    connection: &mut SqliteConnection,
    partition: Partition,
    expected: Place,
) -> Result<(), CommitError> {
    let found = place(connection, partition).await?;
    if found == expected {
        return Ok(());
    }
    Err(CommitError::Fenced { partition, expected, found })
}

async fn place(connection: &mut SqliteConnection, partition: Partition) -> Result<Place, Error> {
    let found: Option<(i64, i64, u32)> = sqlx::query_as(
        "SELECT next_offset, epoch, fold_version FROM progress WHERE partition = $1",
    )
    .bind(i64::from(partition.0))
    .fetch_optional(connection)
    .await?;
    let never = || Error::Corrupt(format!("partition {partition} of the log was never bound"));
    let (next, epoch, fold) = found.ok_or_else(never)?;
    check_fold(fold)?;
    Ok(Place { next: Offset(next), epoch: Epoch(epoch) })
}

pub(super) async fn announce(
    connection: &mut SqliteConnection,
    progress: Progress,
) -> Result<(), CommitError> {
    let Progress { partition, announced, .. } = progress;
    compare(connection, partition, progress.place()).await?;
    sqlx::query(
        "UPDATE progress SET announced_offset = $2 WHERE partition = $1 AND announced_offset < $2",
    )
    .bind(i64::from(partition.0))
    .bind(announced.0)
    .execute(connection)
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// Begins an epoch, for what is stored from a record on was written anew: whoever has read it before is fenced. Its state
/// changes are not announced any more: a crash before they are announced anew must not lose them.
pub(super) async fn rewritten_from(
    connection: &mut SqliteConnection,
    from: Position,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE progress SET epoch = epoch + 1, announced_offset = min(announced_offset, $2) WHERE partition = $1",
    )
    .bind(i64::from(from.partition.0))
    .bind(from.offset.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn pass(
    connection: &mut SqliteConnection,
    checkpoints: &[Checkpoint],
) -> Result<(), Error> {
    for Checkpoint { partition, next, digest } in checkpoints {
        sqlx::query("INSERT INTO checkpoints (partition, next_offset, digest) VALUES ($1, $2, $3)")
            .bind(i64::from(partition.0))
            .bind(next.0)
            .bind(digest.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn checkpoints(
    pool: &SqlitePool,
    partition: Partition,
    after: Offset,
    limit: usize,
) -> Result<Vec<Checkpoint>, Error> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT next_offset, digest FROM checkpoints WHERE partition = $1 AND next_offset > $2
         ORDER BY next_offset LIMIT $3",
    )
    .bind(i64::from(partition.0))
    .bind(after.0)
    .bind(database::limit(limit))
    .fetch_all(pool)
    .await?;
    let checkpoint = |(next, digest): (i64, Vec<u8>)| {
        Ok(Checkpoint { partition, next: Offset(next), digest: database::digest(&digest)? })
    };
    rows.into_iter().map(checkpoint).collect()
}
