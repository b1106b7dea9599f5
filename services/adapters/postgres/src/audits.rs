//! [`AuditStore`] on the table `audits`.

use async_trait::async_trait;
use ports::{Audit, AuditStore, Consumer, Offset, Partition, StoreError, Topic};
use sqlx::{PgConnection, Row as _};

use crate::{columns, error::Error, session::PostgresStore};

#[async_trait]
impl AuditStore for PostgresStore {
    async fn audits(&self) -> Result<Vec<Audit>, StoreError> {
        Ok(self.run(async |connection| load(connection).await).await?)
    }

    async fn accounted(
        &self,
        partition: Partition,
        from: Offset,
        until: Offset,
    ) -> Result<u64, StoreError> {
        let count =
            async |connection: &mut PgConnection| count(connection, partition, from, until).await;
        Ok(self.run(count).await?)
    }

    async fn audited(&self, from: Offset, audit: Audit) -> Result<bool, StoreError> {
        Ok(self.run(async |connection| write(connection, from, audit).await).await?)
    }
}

async fn load(connection: &mut PgConnection) -> Result<Vec<Audit>, Error> {
    let rows = sqlx::query(
        "SELECT partition, coalesce(audited_offset, 0) AS audited_offset, coalesce(unaccounted, 0) AS unaccounted
         FROM progress LEFT JOIN audits USING (partition) ORDER BY partition",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Audit {
                partition: columns::partition_from(row)?,
                next: Offset(row.try_get("audited_offset")?),
                unaccounted: columns::unsigned(row.try_get("unaccounted")?)?,
            })
        })
        .collect()
}

async fn count(
    connection: &mut PgConnection,
    partition: Partition,
    from: Offset,
    until: Offset,
) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM (
               SELECT "offset" FROM order_history WHERE partition = $1 AND "offset" >= $2 AND "offset" < $3
               UNION
               SELECT "offset" FROM dead_letters
               WHERE consumer = $4 AND topic = $5 AND partition = $1 AND "offset" >= $2 AND "offset" < $3
           ) AS accounted"#,
    )
    .bind(columns::partition(partition))
    .bind(from.0)
    .bind(until.0)
    .bind(Consumer::Projector.name())
    .bind(Topic::Events.name())
    .fetch_one(connection)
    .await?;
    columns::unsigned(count)
}

async fn write(connection: &mut PgConnection, from: Offset, audit: Audit) -> Result<bool, Error> {
    let written = sqlx::query(
        "INSERT INTO audits (partition, audited_offset, unaccounted)
         SELECT $1, $3, $4 WHERE $2 = 0::bigint OR EXISTS (SELECT FROM audits WHERE partition = $1)
         ON CONFLICT (partition) DO UPDATE
         SET audited_offset = EXCLUDED.audited_offset, unaccounted = EXCLUDED.unaccounted
         WHERE audits.audited_offset = $2",
    )
    .bind(columns::partition(audit.partition))
    .bind(from.0)
    .bind(audit.next.0)
    .bind(columns::version(audit.unaccounted))
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}
