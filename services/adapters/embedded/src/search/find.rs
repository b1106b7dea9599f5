//! Finding orders by their words and columns.

use events::State;
use ports::{Found, OrderHit, SearchKey, SearchQuery, words};
use sqlx::{QueryBuilder, Row as _, Sqlite, SqlitePool, sqlite::SqliteRow};

use crate::database::{self, Error};

/// A page and the totals, as of one instant.
pub(super) async fn find(
    pool: &SqlitePool,
    query: &SearchQuery,
    after: Option<SearchKey>,
    limit: usize,
) -> Result<Found, Error> {
    let mut transaction = pool.begin().await?;
    let mut counts = QueryBuilder::new("SELECT state, count(*) FROM documents WHERE true");
    push_filter(&mut counts, query);
    counts.push(" GROUP BY state");
    let counts: Vec<(String, i64)> = counts.build_query_as().fetch_all(&mut *transaction).await?;
    let count = |(state, count): (String, i64)| {
        let state = database::named("state", &state, State::from_name)?;
        Ok((state, database::unsigned(count)?))
    };
    let mut by_state = counts.into_iter().map(count).collect::<Result<Vec<_>, Error>>()?;
    by_state.sort_unstable();
    let total = by_state.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));

    let mut page = QueryBuilder::new("SELECT placed_ms, document FROM documents WHERE true");
    push_filter(&mut page, query);
    if let Some(SearchKey { placed_at, order_id }) = after {
        page.push(" AND (placed_ms, order_id) < (").push_bind(placed_at.timestamp_millis());
        page.push(", ").push_bind(order_id.to_string()).push(")");
    }
    page.push(" ORDER BY placed_ms DESC, order_id DESC LIMIT ");
    page.push_bind(database::limit(limit.saturating_add(1)));
    let mut rows = page.build().fetch_all(&mut *transaction).await?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let hits = rows.iter().map(hit).collect::<Result<Vec<_>, _>>()?;
    let next = match (hits.last(), rows.last()) {
        (Some(hit), Some(row)) if is_more => {
            let millis: i64 = row.try_get("placed_ms")?;
            let placed_at = database::instant(millis.saturating_mul(1_000))?;
            Some(SearchKey { placed_at, order_id: hit.order_id })
        }
        _ => None,
    };
    Ok(Found { hits, next, total, by_state })
}

fn push_filter(statement: &mut QueryBuilder<Sqlite>, query: &SearchQuery) {
    let words = words(query.text.as_deref());
    if !words.is_empty() {
        // Quoted: the words of the index's language, such as AND, are words like any other.
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        statement.push(" AND id IN (SELECT rowid FROM words WHERE words MATCH ");
        statement.push_bind(quoted.join(" ")).push(")");
    }
    if !query.states.is_empty() {
        let states = serde_json::Value::from_iter(query.states.iter().map(|state| state.name()));
        statement.push(" AND state IN (SELECT value FROM json_each(");
        statement.push_bind(states.to_string()).push("))");
    }
    for (column, value) in [
        ("region", &query.region),
        ("customer_email", &query.customer_email),
        ("payment_gateway", &query.payment_gateway),
    ] {
        if let Some(value) = value {
            statement.push(format_args!(" AND {column} = ")).push_bind(value.clone());
        }
    }
    if let Some(from) = query.placed_from {
        statement.push(" AND placed_ms >= ").push_bind(from.timestamp_millis());
    }
    if let Some(until) = query.placed_until {
        statement.push(" AND placed_ms < ").push_bind(until.timestamp_millis());
    }
}

fn hit(row: &SqliteRow) -> Result<OrderHit, Error> {
    let document: &str = row.try_get("document")?;
    serde_json::from_str(document)
        .map_err(|error| Error::Corrupt(format!("a document can't be read: {error}")))
}
