//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use proto::v1;

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
    let currency = events::Currency::from_code(&details.currency_code);
    let money = |minor: i64| match (currency, events::MinorUnits::new(minor)) {
        (Some(currency), Ok(amount)) => events::Money { amount, currency }.to_string(),
        _ => format!("{} {minor}", details.currency_code),
    };
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
    for line in details.lines {
        let price = money(line.unit_price_minor);
        table.add_row([line.sku, format!("{} × {} at {price}", line.quantity, line.name)]);
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
