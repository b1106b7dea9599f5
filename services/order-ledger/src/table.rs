//! Tables for people: one order here, many things of a kind in `rows`.

mod rows;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use proto::v1;

pub(crate) use rows::{change, history, orders, position, standing, summaries, totals};

/// A plain table with a header.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

/// An order as a table of its fields.
pub(crate) fn order(order: &v1::Order) -> Table {
    let details = order.details.clone().unwrap_or_default();
    let money = |minor| money(&details.currency_code, minor);
    let customer = details.customer.unwrap_or_default();
    let mut table = table(["order", order.order_id.as_str()]);
    table.add_row(["state", state_name(order.state)]);
    table.add_row(["version".to_owned(), order.version.to_string()]);
    table.add_row(["total".to_owned(), money(order.total_minor)]);
    table.add_row(["captured".to_owned(), money(order.captured_minor)]);
    table.add_row(["refunded".to_owned(), money(order.refunded_minor)]);
    table.add_row([
        "customer".to_owned(),
        format!("{} {}", customer.name, customer.email).trim().to_owned(),
    ]);
    table.add_row([
        "ships to".to_owned(),
        format!("{}, {}", details.shipping_address, details.region),
    ]);
    for (index, line) in details.lines.iter().enumerate() {
        let price = money(line.unit_price_minor);
        let so_far = order.progress.get(index).map_or_else(String::new, progress);
        let what = format!("{} × {} at {price}{so_far}", line.quantity, line.name);
        table.add_row([format!("line {}: {}", index + 1, line.sku), what]);
    }
    if let Some(parcel) = &order.parcel {
        table.add_row([
            "parcel".to_owned(),
            format!("{} {}", parcel.carrier, parcel.tracking_number),
        ]);
    }
    if !order.cancel_reason.is_empty() {
        table.add_row(["cancelled because", order.cancel_reason.as_str()]);
    }
    if order.anomalies > 0 {
        table
            .add_row(["anomalies".to_owned(), format!("{}: look at its history", order.anomalies)]);
    }
    table.add_row(["placed at".to_owned(), instant(order.placed_at.as_ref())]);
    table.add_row(["updated at".to_owned(), instant(order.updated_at.as_ref())]);
    table
}

/// How far a line has come; nothing if it has not begun.
fn progress(line: &v1::LineProgress) -> String {
    let parts = [
        (line.shipped, "shipped"),
        (line.return_requested, "to come back"),
        (line.returned, "came back"),
        (line.refunded, "refunded"),
    ];
    let begun = parts.into_iter().filter(|(pieces, _)| *pieces > 0);
    begun.map(|(pieces, what)| format!(", {pieces} {what}")).collect()
}

/// An amount as people write it, or as it is if the currency is not known.
pub(crate) fn money(currency: &str, minor: i64) -> String {
    match (events::Currency::from_code(currency), events::MinorUnits::new(minor)) {
        (Some(currency), Ok(amount)) => events::Money { amount, currency }.to_string(),
        _ => format!("{currency} {minor}"),
    }
}

/// The domain's name of a wire state.
pub(crate) fn state_name(value: i32) -> &'static str {
    events::State::ALL
        .into_iter()
        .find(|state| i32::from(codec::state_to_proto(*state)) == value)
        .map_or("unknown", events::State::name)
}

fn instant(at: Option<&prost_types::Timestamp>) -> String {
    at.and_then(|at| chrono::DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).ok()?))
        .map_or_else(String::new, |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
