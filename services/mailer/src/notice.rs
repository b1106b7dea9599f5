//! Which state changes customers hear of, and what names the mail about each.

use codec::StateChange;
use events::State;
use ports::DeliveryKey;

/// What the mail about a change is kept under; `None` if the customer need not hear of it: the order stayed where it
/// was, or the event was rejected.
pub(crate) fn delivery_key(change: &StateChange) -> Option<DeliveryKey> {
    let state = change.entered()?;
    Some(DeliveryKey {
        order_id: change.order.id,
        version: change.order.version,
        template: template_name(state).to_owned(),
    })
}

/// The template of the mail about an order that came from one state into another; `None` if no mail is written about it.
#[must_use]
pub fn mail_about(from: Option<State>, to: State) -> Option<&'static str> {
    (from != Some(to)).then_some(template_name(to))
}

/// The Message-ID, without angle brackets, of the mail about a change: the same whoever sends it, and whenever.
/// `None` if no mail is written about it.
#[must_use]
pub fn message_id(change: &StateChange) -> Option<String> {
    delivery_key(change).map(|key| message_id_of(&key))
}

pub(crate) fn message_id_of(key: &DeliveryKey) -> String {
    let DeliveryKey { order_id, version, template } = key;
    // The part after the @ only has to be nobody else's (RFC 5322); `.invalid` can't be (RFC 2606).
    format!("{order_id}.{version}.{template}@order-ledger.invalid")
}

/// The name of the templates for a state: its files' names, and the store's.
pub(crate) const fn template_name(state: State) -> &'static str {
    match state {
        State::Placed => "placed",
        State::Paid => "paid",
        State::PaymentFailed => "payment-failed",
        State::Preparing => "preparing",
        State::Shipped => "shipped",
        State::Delivered => "delivered",
        State::DeliveryFailed => "delivery-failed",
        State::Completed => "completed",
        State::Cancelled => "cancelled",
        State::ReturnRequested => "return-requested",
        State::Returned => "returned",
        State::Refunded => "refunded",
    }
}

#[cfg(test)]
mod tests {
    use testkit::sample;

    use super::*;

    #[test]
    fn a_change_that_moves_the_order_has_a_mail_of_its_own() {
        let id = sample::order_id(1);
        let mails: Vec<_> =
            sample::changes(&sample::lifecycle(id)).iter().map(message_id).collect();
        let name =
            |version, template| Some(format!("{id}.{version}.{template}@order-ledger.invalid"));
        let expected = [
            name(1, "placed"),
            name(2, "paid"),
            name(3, "preparing"),
            name(4, "shipped"),
            name(5, "delivered"),
            name(6, "completed"),
        ];
        assert_eq!(mails, expected);
    }

    #[test]
    fn a_rejected_event_has_none() {
        let id = sample::order_id(1);
        let events = [sample::placed(id), sample::delivered(id)];
        let mails: Vec<_> = sample::changes(&events).iter().map(message_id).collect();
        assert!(matches!(mails.as_slice(), [Some(_), None]), "{mails:?}");
    }
}
