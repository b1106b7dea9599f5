//! `migrations/README.md` says what is there, and its queries run.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Executor as _};

use crate::schema::on_fresh_schema;

const README: &str = include_str!("../../../../migrations/README.md");

#[tokio::test]
async fn the_readme_names_exactly_the_tables() {
    on_fresh_schema(async |_, connection| {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v', 'm', 'p')",
        )
        .fetch_all(connection)
        .await
        .unwrap();
        let named: BTreeSet<_> = README
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        assert_eq!(named, tables.iter().map(String::as_str).collect());
    })
    .await;
}

#[tokio::test]
async fn the_queries_of_the_readme_run() {
    on_fresh_schema(async |_, connection| {
        let queries = README.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
        let queries =
            queries.replace("ledger.", "").replace('…', "00000000-0000-0000-0000-000000000000");
        assert!(queries.matches(';').count() >= 5, "{queries}");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(queries))).await.unwrap();
    })
    .await;
}
