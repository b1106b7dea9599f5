//! The pure part: which timers an order has where it stands, and which event a timer stands for.

use chrono::{DateTime, TimeDelta, Utc};
use events::{
    Currency, Event, EventBody, EventId, MinorUnits, Money, Order, Parcel, Pieces, State, Text,
};
use ports::{Timer, TimerKey, TimerKind};

use crate::Settings;

/// A timer says nothing that makes an event: a bug, or a damaged store.
#[derive(Debug, thiserror::Error)]
#[error("the timer {kind} makes no event: {detail}")]
pub(crate) struct NoEvent {
    kind: &'static str,
    detail: &'static str,
}

/// The timers of an order as it stands. They run from when it came into its state: a part that is paid, shipped or
/// refunded, another refusal of the card, and an event that was rejected do not put them off.
pub(crate) fn timers(order: &Order, settings: &Settings) -> Vec<Timer> {
    kinds(order.state)
        .iter()
        .filter_map(|&kind| {
            let after = TimeDelta::from_std(settings.after(kind)?).ok()?;
            let since = match kind {
                // Its amount is another once a part is paid, and so is the event.
                TimerKind::Pay => order.updated_at,
                _ => order.entered_at,
            };
            Some(Timer {
                key: TimerKey { order_id: order.id, kind },
                version: order.version,
                due_at: since.checked_add_signed(after)?,
                amount: (kind == TimerKind::Pay).then(|| {
                    (order.to_capture().get(), order.details.currency().code().to_owned())
                }),
            })
        })
        .collect()
}

const fn kinds(state: State) -> &'static [TimerKind] {
    match state {
        State::Placed => &[TimerKind::Pay, TimerKind::CancelUnpaid],
        State::PaymentFailed => &[TimerKind::CancelUnpaid],
        State::Paid => &[TimerKind::Prepare],
        State::Preparing => &[TimerKind::Ship],
        State::Shipped => &[TimerKind::Deliver],
        State::Delivered => &[TimerKind::Complete],
        State::DeliveryFailed
        | State::Completed
        | State::Cancelled
        | State::ReturnRequested
        | State::Returned
        | State::Refunded => &[],
    }
}

/// The event that a timer appends when it fires at `now`.
///
/// Its id follows from the order, the kind and the due time: whoever fires the timer again, and whoever sets it again
/// because a rejected event came in between, gets the same. Only an order that moved has timers with other ids.
pub(crate) fn event(timer: &Timer, now: DateTime<Utc>) -> Result<Event, NoEvent> {
    let TimerKey { order_id, kind } = timer.key;
    let due_micros = timer.due_at.timestamp_micros();
    let id = EventId::derived(order_id, &format!("timer/{}/{due_micros}", kind.name()));
    let body = body(timer).map_err(|detail| NoEvent { kind: kind.name(), detail })?;
    let actor = Text::new("fulfilment").ok();
    Ok(codec::new_event(id, order_id, now, actor, None, body))
}

fn body(timer: &Timer) -> Result<EventBody, &'static str> {
    Ok(match timer.key.kind {
        TimerKind::Pay => EventBody::PaymentCaptured { amount: amount(timer)?, reference: None },
        TimerKind::Prepare => EventBody::PreparationStarted,
        TimerKind::Ship => {
            EventBody::OrderShipped { parcel: parcel(timer)?, pieces: Pieces::default() }
        }
        TimerKind::Deliver => EventBody::OrderDelivered,
        TimerKind::Complete => EventBody::OrderCompleted,
        TimerKind::CancelUnpaid => {
            EventBody::OrderCancelled { reason: Text::new("It was not paid in time.").ok() }
        }
    })
}

fn amount(timer: &Timer) -> Result<Money, &'static str> {
    let (amount, currency) = timer.amount.as_ref().ok_or("it has no amount")?;
    Ok(Money {
        amount: MinorUnits::new(*amount).map_err(|_| "its amount is negative")?,
        currency: Currency::from_code(currency).ok_or("its currency is not known")?,
    })
}

/// Made up, but the same every time.
fn parcel(timer: &Timer) -> Result<Parcel, &'static str> {
    let id = timer.key.order_id.as_uuid().simple().to_string().to_uppercase();
    let number = format!("DEMO-{}", id.get(20..).unwrap_or_default());
    let text = |text: &str| Text::new(text).map_err(|_| "its parcel has no name");
    Ok(Parcel { carrier: text("Demo Express")?, tracking_number: text(&number)? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use events::{Outcome, fold};
    use testkit::sample;

    use super::*;

    fn settings() -> Settings {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Settings {
            pay_after: seconds(10),
            prepare_after: seconds(20),
            ship_after: seconds(30),
            deliver_after: seconds(40),
            complete_after: seconds(50),
            cancel_unpaid_after: seconds(60),
            ..Settings::default()
        }
    }

    fn planned(events: &[Event]) -> Vec<(&'static str, DateTime<Utc>)> {
        let timers = timers(&sample::folded(events), &settings());
        timers.iter().map(|timer| (timer.key.kind.name(), timer.due_at)).collect()
    }

    #[test]
    fn each_state_has_its_timers() {
        let all = sample::lifecycle(sample::order_id(1));
        let at = sample::at;
        assert_eq!(planned(&all[..1]), [("Pay", at(10)), ("CancelUnpaid", at(60))]);
        assert_eq!(planned(&all[..2]), [("Prepare", at(1 + 20))]);
        assert_eq!(planned(&all[..3]), [("Ship", at(2 + 30))]);
        assert_eq!(planned(&all[..4]), [("Deliver", at(3 + 40))]);
        assert_eq!(planned(&all[..5]), [("Complete", at(4 + 50))]);
        assert_eq!(planned(&all), []);
        assert_eq!(planned(&[all[0].clone(), sample::cancelled(all[0].order_id)]), []);
    }

    #[test]
    fn what_is_off_is_not_set() {
        let order = sample::folded(&[sample::placed(sample::order_id(1))]);
        assert_eq!(timers(&order, &Settings::default()), []);
        assert!(Settings::default().are_off());
        assert!(!settings().are_off());
    }

    #[test]
    fn the_timers_of_a_life_take_an_order_to_its_end() {
        let mut order = sample::folded(&[sample::placed(sample::order_id(1))]);
        let mut states = Vec::new();
        while let Some(timer) = timers(&order, &settings()).first() {
            let event = event(timer, timer.due_at).unwrap();
            let folded = fold(Some(order), &event);
            assert!(matches!(folded.outcome, Outcome::Applied { .. }), "{event:?}");
            order = folded.order.unwrap();
            states.push(order.state.name());
        }
        assert_eq!(states, ["Paid", "Preparing", "Shipped", "Delivered", "Completed"]);
        assert_eq!(order.to_capture(), MinorUnits::ZERO);
    }

    #[test]
    fn a_timer_set_again_after_a_rejected_event_is_the_same_event() {
        let id = sample::order_id(1);
        let before = sample::folded(&[sample::placed(id)]);
        let after = sample::folded(&[sample::placed(id), sample::delivered(id)]);
        assert_ne!(before.version, after.version);
        let events = |order: &Order, now| -> Vec<EventId> {
            let timers = timers(order, &settings());
            timers.iter().map(|timer| event(timer, now).unwrap().id).collect()
        };
        assert_eq!(events(&before, sample::at(60)), events(&after, sample::at(99)));
    }

    #[test]
    fn a_capture_without_its_amount_makes_no_event() {
        let order = sample::folded(&[sample::placed(sample::order_id(1))]);
        let mut timer = timers(&order, &settings()).remove(0);
        timer.amount = Some((1, "???".to_owned()));
        let error = event(&timer, sample::at(10)).unwrap_err();
        assert_eq!(error.to_string(), "the timer Pay makes no event: its currency is not known");
    }
}
