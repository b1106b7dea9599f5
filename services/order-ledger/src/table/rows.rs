//! Many things of a kind: orders, summaries, history, changes. One row or line each.

use comfy_table::Table;
use proto::v1::{self, order_event::Body};

use super::{instant, money, state_name, table};

/// Orders of a list.
pub(crate) fn orders(orders: &[v1::Order]) -> Table {
    let mut table =
        table(["order", "state", "version", "total", "customer", "region", "placed at"]);
    for order in orders {
        let details = order.details.as_ref();
        let text = |field: fn(&v1::OrderDetails) -> &str| details.map_or("", field).to_owned();
        table.add_row([
            order.order_id.clone(),
            state_name(order.state).to_owned(),
            order.version.to_string(),
            money(&text(|details| &details.currency_code), order.total_minor),
            text(|details| details.customer.as_ref().map_or("", |customer| &customer.email)),
            text(|details| &details.region),
            instant(order.placed_at.as_ref()),
        ]);
    }
    table
}

/// Orders that a search found.
pub(crate) fn summaries(orders: &[v1::OrderSummary]) -> Table {
    let mut table =
        table(["order", "state", "version", "total", "customer", "region", "placed at"]);
    for order in orders {
        table.add_row([
            order.order_id.clone(),
            state_name(order.state).to_owned(),
            order.version.to_string(),
            money(&order.currency_code, order.total_minor),
            order.customer_email.clone(),
            order.region.clone(),
            instant(order.placed_at.as_ref()),
        ]);
    }
    table
}

/// How many match, and in which states.
pub(crate) fn totals(answer: &v1::SearchOrdersResponse) -> String {
    let states = answer.totals.iter();
    let states: String =
        states.map(|total| format!("  {} {}", state_name(total.state), total.orders)).collect();
    format!("{} match{states}", answer.total)
}

/// What was recorded of an order.
pub(crate) fn history(entries: &[v1::HistoryEntry]) -> Table {
    let mut table = table(["version", "at", "event", "what", "by", "outcome", "record"]);
    for entry in entries {
        let event = entry.event.clone().unwrap_or_default();
        let (name, what) = event.body.as_ref().map_or(("unknown", String::new()), described);
        table.add_row([
            entry.version.to_string(),
            instant(event.occurred_at.as_ref()),
            name.to_owned(),
            what,
            event.actor,
            outcome(entry),
            position(entry.position.as_ref()),
        ]);
    }
    table
}

fn outcome(entry: &v1::HistoryEntry) -> String {
    match entry.outcome() {
        v1::EventOutcome::Applied => moved(entry.from, entry.to),
        v1::EventOutcome::Rejected => {
            format!("{}: rejected, {}", state_name(entry.to), entry.rejection)
        }
        v1::EventOutcome::Duplicate => "recorded before".to_owned(),
        v1::EventOutcome::Parked => "waits for a decision on a dead letter".to_owned(),
        v1::EventOutcome::Unspecified => "unknown".to_owned(),
    }
}

/// The event's name and what it says.
fn described(body: &Body) -> (&'static str, String) {
    let reference = |reference: &str| match reference {
        "" => String::new(),
        reference => format!(" {reference}"),
    };
    let paid = |amount: &Option<v1::Money>| {
        let amount = amount.as_ref();
        amount.map_or_else(String::new, |amount| money(&amount.currency_code, amount.minor_units))
    };
    match body {
        Body::OrderPlaced(_) => ("OrderPlaced", String::new()),
        Body::PaymentCaptured(event) => {
            ("PaymentCaptured", paid(&event.amount) + &reference(&event.reference))
        }
        Body::PaymentDeclined(event) => ("PaymentDeclined", event.reason.clone()),
        Body::PreparationStarted(_) => ("PreparationStarted", String::new()),
        Body::OrderShipped(event) => {
            let parcel = event.parcel.clone().unwrap_or_default();
            let parcel = format!("{} {}", parcel.carrier, parcel.tracking_number);
            ("OrderShipped", parcel + &pieces(&event.lines))
        }
        Body::OrderDelivered(_) => ("OrderDelivered", String::new()),
        Body::DeliveryFailed(event) => ("DeliveryFailed", event.reason.clone()),
        Body::OrderCompleted(_) => ("OrderCompleted", String::new()),
        Body::OrderCancelled(event) => ("OrderCancelled", event.reason.clone()),
        Body::ReturnRequested(event) => {
            ("ReturnRequested", event.reason.clone() + &pieces(&event.lines))
        }
        Body::OrderReturned(event) => ("OrderReturned", pieces(&event.lines)),
        Body::PaymentRefunded(event) => (
            "PaymentRefunded",
            paid(&event.amount) + &reference(&event.reference) + &pieces(&event.lines),
        ),
    }
}

/// As `--line` takes them.
fn pieces(lines: &[v1::LineQuantity]) -> String {
    lines.iter().map(|line| format!(" {}={}", line.line, line.quantity)).collect()
}

/// An order that a watch begins with, in a line.
pub(crate) fn standing(order: &v1::Order) -> String {
    let at = instant(order.updated_at.as_ref());
    format!("{at}  {}  version {}  {}", order.order_id, order.version, state_name(order.state))
}

/// A change, in a line; without one, how the order stands.
pub(crate) fn change(changed: &v1::WatchOrderResponse) -> String {
    let order = changed.order.clone().unwrap_or_default();
    let Some(change) = &changed.change else {
        return standing(&order);
    };
    let at = instant(change.occurred_at.as_ref());
    let moved = if change.rejection.is_empty() {
        moved(change.from, change.to)
    } else {
        format!("{}: rejected, {}", state_name(change.to), change.rejection)
    };
    let v1::OrderChange { event_type, actor, .. } = change;
    let (id, version) = (order.order_id, order.version);
    format!("{at}  {id}  version {version}  {event_type} by {actor}  {moved}")
}

fn moved(from: i32, to: i32) -> String {
    if from == i32::from(v1::OrderState::Unspecified) || from == to {
        state_name(to).to_owned()
    } else {
        format!("{} -> {}", state_name(from), state_name(to))
    }
}

/// `PARTITION/OFFSET`, as `--not-before` takes it.
pub(crate) fn position(position: Option<&v1::LogPosition>) -> String {
    position.map_or_else(
        || "an unknown place".to_owned(),
        |position| format!("{}/{}", position.partition, position.offset),
    )
}
