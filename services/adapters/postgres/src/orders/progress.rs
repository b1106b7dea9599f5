//! The tables `progress` and `checkpoints`: which partitions there are and how far each has come. It fences projectors.

use std::collections::BTreeMap;

use ports::{
    Checkpoint, CommitError, Epoch, Offset, Partition, PartitionCommit, Place, Position, Progress,
};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};

use crate::{columns, error::Error};

pub(super) async fn bind(connection: &mut PgConnection, partitions: u32) -> Result<(), Error> {
    let mut bound = count(connection).await?;
    if bound == 0 {
        create(connection, partitions).await?;
        bound = count(connection).await?;
    }
    if bound == i64::from(partitions) {
        let folds: Vec<i32> =
            sqlx::query_scalar("SELECT fold_version FROM progress").fetch_all(connection).await?;
        return folds.into_iter().try_for_each(check_fold);
    }
    Err(Error::Corrupt(format!(
        "it was made for {bound} partitions of the log, which now has {partitions}: orders would move between them"
    )))
}

async fn count(connection: &mut PgConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM progress").fetch_one(connection).await?)
}

/// Only what this fold made may be folded further.
fn check_fold(stored: i32) -> Result<(), Error> {
    if stored == columns::fold_version() {
        return Ok(());
    }
    Err(u32::try_from(stored)
        .map_or_else(|_| columns::negative(stored), |stored| Error::OtherFold { stored }))
}

/// Of several processes one creates the rows, the others find them.
async fn create(connection: &mut PgConnection, partitions: u32) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("LOCK TABLE progress IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO progress (partition, fold_version)
         SELECT n, $2 FROM generate_series(0, $1::bigint - 1) AS n WHERE NOT EXISTS (SELECT FROM progress)",
    )
    .bind(i64::from(partitions))
    .bind(columns::fold_version())
    .execute(&mut *transaction)
    .await?;
    sqlx::query("UPDATE generations SET fold_version = $1 WHERE stage = 'live'")
        .bind(columns::fold_version())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn load(
    connection: &mut PgConnection,
    partitions: &[Partition],
) -> Result<Vec<Progress>, Error> {
    let wanted: Vec<_> = partitions.iter().copied().map(columns::partition).collect();
    let rows = sqlx::query(
        "SELECT partition, next_offset, epoch, announced_offset, digest FROM progress
         WHERE cardinality($1::integer[]) = 0 OR partition = ANY($1) ORDER BY partition",
    )
    .bind(wanted)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Progress {
                partition: columns::partition_from(row)?,
                next: Offset(row.try_get("next_offset")?),
                epoch: Epoch(row.try_get("epoch")?),
                announced: Offset(row.try_get("announced_offset")?),
                digest: columns::digest(row)?,
            })
        })
        .collect()
}

/// Compares and sets. The rows are locked in the order of the partitions, whatever order they are named in, so that
/// two projectors that both believe to own several can't wait for each other.
pub(super) async fn advance(
    connection: &mut PgConnection,
    steps: &[PartitionCommit],
) -> Result<(), CommitError> {
    if steps.is_empty() {
        return Ok(());
    }
    let partitions: Vec<_> = steps.iter().map(|step| step.partition).collect();
    let found = lock(connection, &partitions).await?;
    for PartitionCommit { partition, expected, .. } in steps.iter().copied() {
        compare(&found, partition, expected)?;
    }
    Ok(set(connection, steps).await?)
}

fn compare(
    found: &BTreeMap<i32, Place>,
    partition: Partition,
    expected: Place,
) -> Result<(), CommitError> {
    match found.get(&columns::partition(partition)).copied() {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(CommitError::Fenced { partition, expected, found }),
        None => {
            let never = format!("partition {partition} of the log was never bound");
            Err(Error::Corrupt(never).into())
        }
    }
}

async fn lock(
    connection: &mut PgConnection,
    partitions: &[Partition],
) -> Result<BTreeMap<i32, Place>, Error> {
    let partitions: Vec<_> = partitions.iter().copied().map(columns::partition).collect();
    let rows = sqlx::query_as::<_, (i32, i64, i64, i32)>(
        "SELECT partition, next_offset, epoch, fold_version FROM progress
         WHERE partition = ANY($1) ORDER BY partition FOR NO KEY UPDATE",
    )
    .bind(partitions)
    .fetch_all(connection)
    .await?;
    let place = |(partition, next, epoch, fold)| {
        check_fold(fold)?;
        Ok((partition, Place { next: Offset(next), epoch: Epoch(epoch) }))
    };
    rows.into_iter().map(place).collect()
}

async fn set(connection: &mut PgConnection, steps: &[PartitionCommit]) -> Result<(), Error> {
    let partitions: Vec<_> = steps.iter().map(|step| columns::partition(step.partition)).collect();
    let next: Vec<_> = steps.iter().map(|step| step.next.0).collect();
    let announced: Vec<_> = steps.iter().map(|step| step.announced.0).collect();
    let digests: Vec<_> = steps.iter().map(|step| step.digest.as_bytes().as_slice()).collect();
    sqlx::query(
        "UPDATE progress SET
             next_offset = step.next_offset,
             announced_offset = greatest(progress.announced_offset, step.announced_offset),
             digest = step.digest
         FROM UNNEST($1::integer[], $2::bigint[], $3::bigint[], $4::bytea[])
             AS step (partition, next_offset, announced_offset, digest)
         WHERE progress.partition = step.partition",
    )
    .bind(partitions)
    .bind(next)
    .bind(announced)
    .bind(digests)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn announce(
    connection: &mut PgConnection,
    progress: Progress,
) -> Result<(), CommitError> {
    let Progress { partition, next, epoch, announced, .. } = progress;
    let moved = sqlx::query(
        "UPDATE progress SET announced_offset = $4
         WHERE partition = $1 AND next_offset = $2 AND epoch = $3 AND announced_offset < $4",
    )
    .bind(columns::partition(partition))
    .bind(next.0)
    .bind(epoch.0)
    .bind(announced.0)
    .execute(&mut *connection)
    .await
    .map_err(Error::from)?;
    if moved.rows_affected() > 0 {
        return Ok(());
    }
    // It is as far already, or not where it should be.
    compare(&lock(connection, &[partition]).await?, partition, progress.place())
}

/// Begins an epoch, for what is stored from a record on was written anew: whoever has read it before is fenced. Its state
/// changes are not announced any more: a crash before they are announced anew must not lose them.
pub(super) async fn rewritten_from(
    connection: &mut PgConnection,
    from: Position,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE progress SET epoch = epoch + 1, announced_offset = least(announced_offset, $2) WHERE partition = $1",
    )
    .bind(columns::partition(from.partition))
    .bind(from.offset.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Few at a time: one in thousands of records.
pub(super) async fn pass(
    connection: &mut PgConnection,
    checkpoints: &[Checkpoint],
) -> Result<(), Error> {
    for Checkpoint { partition, next, digest } in checkpoints {
        sqlx::query("INSERT INTO checkpoints (partition, next_offset, digest) VALUES ($1, $2, $3)")
            .bind(columns::partition(*partition))
            .bind(next.0)
            .bind(digest.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn checkpoints(
    connection: &mut PgConnection,
    partition: Partition,
    after: Offset,
    limit: usize,
) -> Result<Vec<Checkpoint>, Error> {
    let rows = sqlx::query(
        "SELECT next_offset, digest FROM checkpoints WHERE partition = $1 AND next_offset > $2
         ORDER BY next_offset LIMIT $3",
    )
    .bind(columns::partition(partition))
    .bind(after.0)
    .bind(columns::limit(limit))
    .fetch_all(connection)
    .await?;
    let checkpoint = |row: &PgRow| {
        let next = Offset(row.try_get("next_offset")?);
        Ok(Checkpoint { partition, next, digest: columns::digest(row)? })
    };
    rows.iter().map(checkpoint).collect()
}
