//! What is true, by SQL over Postgres: a query a panel and a search, written by hand, not derived from what they ask.

use events::OrderId;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

use super::rows::Rows;

/// Moves into a state, with the time in the one before, and where each order came to stand.
const WITH: &str = "WITH moves AS (
    SELECT order_id, version, from_state, to_state, occurred_at,
           (extract(epoch FROM date_trunc('day', occurred_at, 'UTC')) * 1000)::bigint::text AS day,
           greatest(0, extract(epoch FROM occurred_at
               - lag(occurred_at) OVER (PARTITION BY order_id ORDER BY version)))::float8 AS seconds
    FROM {s}.order_history
    WHERE outcome = 'applied' AND from_state IS DISTINCT FROM to_state
), stays AS (
    SELECT * FROM moves WHERE from_state IS NOT NULL
), standing AS (
    SELECT DISTINCT ON (order_id) order_id, occurred_at AS entered_at
    FROM moves ORDER BY order_id, version DESC
), refused AS (
    SELECT *, (extract(epoch FROM date_trunc('day', occurred_at, 'UTC')) * 1000)::bigint::text AS day
    FROM {s}.order_history WHERE outcome = 'rejected' AND recorded
)";

/// Orders that no one has to do anything about.
const AT_REST: &str = "('Delivered', 'Completed', 'Cancelled', 'Refunded')";

/// The rows that a panel must show.
pub(super) async fn rows(pool: &PgPool, schema: &str, panel: &str) -> Rows {
    let select = select(panel).unwrap_or_else(|| panic!("{panel} is compared with nothing"));
    let query = filled(&format!("{WITH} {select}"), schema);
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(pool).await;
    let rows = rows.unwrap_or_else(|error| panic!("{panel}: {error}"));
    Rows(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn filled(text: &str, schema: &str) -> String {
    text.replace("{s}", schema).replace("{at_rest}", AT_REST)
}

fn select(panel: &str) -> Option<String> {
    let simple = of_orders(panel).or_else(|| of_times(panel)).or_else(|| of_rejections(panel));
    simple.map(str::to_owned)
}

fn of_orders(panel: &str) -> Option<&'static str> {
    Some(match panel {
        "orders-placed" => "SELECT '{}'::text[], ARRAY[count(*)]::float8[] FROM {s}.orders",
        "orders-moving" => {
            "SELECT '{}'::text[], ARRAY[count(*)]::float8[] FROM {s}.orders WHERE state NOT IN {at_rest}"
        }
        "orders-anomalous" => {
            "SELECT '{}'::text[], ARRAY[count(*)]::float8[] FROM {s}.orders WHERE anomalies > 0"
        }
        "states-over-time" => {
            "SELECT ARRAY[to_state, day], ARRAY[count(*)]::float8[] FROM moves GROUP BY to_state, day"
        }
        "where-orders-stand" => {
            "SELECT ARRAY[state], ARRAY[count(*)]::float8[] FROM {s}.orders GROUP BY state"
        }
        "funnel" => {
            "SELECT ARRAY[stage], ARRAY[count(DISTINCT order_id)]::float8[]
             FROM (VALUES ('1 Placed', 'Placed'), ('2 Paid', 'Paid'), ('3 Preparing', 'Preparing'),
                          ('4 Shipped', 'Shipped'), ('5 Delivered', 'Delivered'),
                          ('6 Completed', 'Completed')) AS stages (stage, state)
             LEFT JOIN moves ON to_state = state
             GROUP BY stage"
        }
        "regions" => {
            "SELECT ARRAY[region, state], ARRAY[count(*)]::float8[]
             FROM {s}.orders GROUP BY region, state"
        }
        "gateways-and-banks" => {
            "SELECT ARRAY[payment_gateway, coalesce(bank, '__missing__')], ARRAY[count(*)]::float8[]
             FROM {s}.orders LEFT JOIN {s}.banks USING (order_id)
             GROUP BY payment_gateway, bank"
        }
        "value-by-currency" => {
            "SELECT ARRAY[currency], ARRAY[count(*), sum(total_minor), sum(captured_minor), sum(refunded_minor),
                 sum(CASE WHEN state = 'Cancelled' THEN 0 ELSE total_minor - captured_minor END)]::float8[]
             FROM {s}.orders GROUP BY currency"
        }
        "longest-waiting" => {
            "SELECT ARRAY[state], ARRAY[count(*), floor(extract(epoch FROM min(entered_at)) * 1000)]::float8[]
             FROM {s}.orders JOIN standing USING (order_id)
             WHERE state NOT IN {at_rest} GROUP BY state"
        }
        _ => return None,
    })
}

fn of_times(panel: &str) -> Option<&'static str> {
    Some(match panel {
        "times-in-states" => {
            "SELECT ARRAY[from_state], ARRAY[count(*),
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds)]::float8[]
             FROM stays GROUP BY from_state"
        }
        "times-in-states-bars" => {
            "SELECT ARRAY[from_state], ARRAY[
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)]::float8[]
             FROM stays GROUP BY from_state"
        }
        "times-over-time" => {
            "SELECT ARRAY[from_state, day], ARRAY[
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)]::float8[]
             FROM stays GROUP BY from_state, day"
        }
        "delivery-by-region" => {
            "SELECT ARRAY[region], ARRAY[count(*),
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds)]::float8[]
             FROM stays JOIN {s}.orders USING (order_id)
             WHERE from_state = 'Shipped' AND to_state = 'Delivered' GROUP BY region"
        }
        "slowest-orders" => {
            "SELECT ARRAY[order_id::text], ARRAY[sum(seconds), max(seconds), count(*)]::float8[]
             FROM stays GROUP BY order_id ORDER BY sum(seconds) DESC LIMIT 20"
        }
        _ => return None,
    })
}

fn of_rejections(panel: &str) -> Option<&'static str> {
    Some(match panel {
        "rejections-over-time" => {
            "SELECT ARRAY[reason, day], ARRAY[count(*)]::float8[] FROM refused GROUP BY reason, day"
        }
        "rejections" => {
            "SELECT ARRAY[event, reason], ARRAY[count(*), count(DISTINCT order_id)]::float8[]
             FROM refused GROUP BY event, reason"
        }
        _ => return None,
    })
}

/// Columns of a search, and what must be in them.
pub(super) async fn hits(
    pool: &PgPool,
    schema: &str,
    search: &str,
) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let (columns, select) = match search {
        "stuck-orders" => (
            vec!["order_id", "state", "region", "payment.gateway", "currency", "total_minor", "anomalies"],
            "SELECT ARRAY[order_id::text, state, region, payment_gateway, currency, total_minor::text,
                          anomalies::text]
             FROM {s}.orders JOIN standing USING (order_id)
             WHERE state NOT IN {at_rest} AND entered_at < now() - interval '2 days'",
        ),
        "rejected-events" => (
            vec!["order_id", "event.id", "event.action", "rejection", "to", "actor"],
            "SELECT ARRAY[order_id::text, event_id::text, event, reason, to_state, coalesce(actor, '')]
             FROM refused",
        ),
        "failed-deliveries" => (
            vec!["order_id", "region", "actor"],
            "SELECT ARRAY[order_id::text, region, coalesce(actor, '')]
             FROM {s}.order_history JOIN {s}.orders USING (order_id)
             WHERE event = 'DeliveryFailed' AND outcome = 'applied'",
        ),
        "story" => (
            vec!["order_id", "version", "event.action", "event.outcome", "from", "to", "rejection"],
            "SELECT ARRAY[order_id::text, version::text, event,
                          CASE outcome WHEN 'applied' THEN 'success' ELSE 'failure' END,
                          coalesce(from_state, ''), to_state, coalesce(reason, '')]
             FROM {s}.order_history WHERE recorded",
        ),
        _ => panic!("{search} is compared with nothing"),
    };
    let query = filled(&format!("{WITH} {select}"), schema);
    let rows = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(pool).await.unwrap();
    (columns, rows)
}

/// Version, event, outcome and state after it, of one order.
pub(super) async fn story(pool: &PgPool, schema: &str, id: OrderId) -> Vec<Vec<String>> {
    let select = "SELECT ARRAY[version::text, event,
                      CASE outcome WHEN 'applied' THEN 'success' ELSE 'failure' END, to_state]
                  FROM {s}.order_history WHERE recorded AND order_id = $1 ORDER BY version";
    let query = sqlx::query_scalar(AssertSqlSafe(filled(select, schema))).bind(id.as_uuid());
    query.fetch_all(pool).await.unwrap()
}
