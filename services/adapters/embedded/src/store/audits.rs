//! [`AuditStore`] on the table `audits`.

use async_trait::async_trait;
use ports::{Audit, AuditStore, Consumer, Offset, Partition, StoreError, Topic};
use sqlx::SqlitePool;

use super::SqliteStore;
use crate::database::{self, Error};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audits(&self) -> Result<Vec<Audit>, StoreError> {
        let rows = |pool: SqlitePool| async move {
            let audits = sqlx::query_as(
                "SELECT partition, coalesce(audited_offset, 0), coalesce(unaccounted, 0)
                 FROM progress LEFT JOIN audits USING (partition) ORDER BY partition",
            );
            Ok(audits.fetch_all(&pool).await?)
        };
        let rows: Vec<(i64, i64, i64)> = self.read(rows).await?;
        let audit = |(partition, next, unaccounted)| {
            Ok(Audit {
                partition: database::partition(partition)?,
                next: Offset(next),
                unaccounted: database::unsigned(unaccounted)?,
            })
        };
        Ok(rows.into_iter().map(audit).collect::<Result<_, Error>>()?)
    }

    async fn accounted(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<u64, StoreError> {
        let count = |pool: SqlitePool| async move {
            let count = sqlx::query_scalar(
                r#"SELECT count(*) FROM (
                       SELECT "offset" FROM order_history
                       WHERE partition = $1 AND "offset" >= $2 AND "offset" < $3
                       UNION
                       SELECT "offset" FROM dead_letters
                       WHERE consumer = $4 AND topic = $5 AND partition = $1 AND "offset" >= $2 AND "offset" < $3
                   )"#,
            )
            .bind(i64::from(partition.0))
            .bind(from.0)
            .bind(until.0)
            .bind(Consumer::Projector.name())
            .bind(Topic::Events.name());
            database::unsigned(count.fetch_one(&pool).await?)
        };
        Ok(self.read(count).await?)
    }

    async fn audited(&self, from: Offset, audit: Audit) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let written = sqlx::query(
            "INSERT INTO audits (partition, audited_offset, unaccounted)
             SELECT $1, $3, $4 WHERE $2 = 0 OR EXISTS (SELECT 1 FROM audits WHERE partition = $1)
             ON CONFLICT (partition) DO UPDATE
             SET audited_offset = excluded.audited_offset, unaccounted = excluded.unaccounted
             WHERE audits.audited_offset = $2",
        )
        .bind(i64::from(audit.partition.0))
        .bind(from.0)
        .bind(audit.next.0)
        .bind(database::signed(audit.unaccounted))
        .execute(&mut *transaction)
        .await
        .map_err(Error::from)?;
        transaction.commit().await.map_err(Error::from)?;
        Ok(written.rows_affected() > 0)
    }
}
