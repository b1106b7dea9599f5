//! Payments and refunds: what part of the whole leads where. Each line: state, captured so far, refunded so far, event,
//! amount; then the state after, captured and refunded after, or the rejection. The order's total is CLP 1000.

use events::{Currency, EventBody, EventKind, Money, Outcome, Rejection, State, fold};

use crate::given::{TOTAL, body, details_of, event, minor, order_in};

const CASES: &str = "
Placed             0    0  PaymentCaptured     1  Placed                  1    0
Placed             0    0  PaymentCaptured   999  Placed                999    0
Placed             0    0  PaymentCaptured  1000  Paid                 1000    0
Placed             0    0  PaymentCaptured     0  Placed                  0    0
Placed           400    0  PaymentCaptured   600  Paid                 1000    0
Placed           400    0  PaymentCaptured   601  CaptureExceedsTotal
Placed             0    0  PaymentCaptured  1001  CaptureExceedsTotal
Placed             0    0  PaymentCaptured   MAX  CaptureExceedsTotal
PaymentFailed      0    0  PaymentCaptured   500  PaymentFailed         500    0
PaymentFailed    500    0  PaymentCaptured   500  Paid                 1000    0
Preparing          0    0  PaymentCaptured  1000  Preparing            1000    0
Preparing          0    0  PaymentCaptured   300  Preparing             300    0
Preparing       1000    0  PaymentCaptured     1  CaptureExceedsTotal
Shipped            0    0  PaymentCaptured  1000  Shipped              1000    0
Delivered        999    0  PaymentCaptured     1  Delivered            1000    0
Paid            1000    0  PaymentCaptured     0  IllegalTransition

Paid            1000    0  PaymentRefunded     1  Paid                 1000    1
Paid            1000    0  PaymentRefunded  1000  Refunded             1000 1000
Paid            1000  400  PaymentRefunded   600  Refunded             1000 1000
Paid            1000  400  PaymentRefunded   601  RefundExceedsCaptured
Paid            1000    0  PaymentRefunded     0  RefundExceedsCaptured
Paid            1000    0  PaymentRefunded   MAX  RefundExceedsCaptured
Preparing        300    0  PaymentRefunded   300  Refunded              300  300
Preparing          0    0  PaymentRefunded     1  RefundExceedsCaptured
Delivered       1000    0  PaymentRefunded   250  Delivered            1000  250
Completed       1000  250  PaymentRefunded   250  Completed            1000  500
Completed       1000  500  PaymentRefunded   500  Refunded             1000 1000
Cancelled          0    0  PaymentRefunded     1  RefundExceedsCaptured
Cancelled        400    0  PaymentRefunded   400  Refunded              400  400
Returned        1000    0  PaymentRefunded  1000  Refunded             1000 1000
Refunded        1000 1000  PaymentRefunded     1  IllegalTransition
Shipped         1000    0  PaymentRefunded     1  Shipped              1000    1
DeliveryFailed  1000    0  PaymentRefunded  1000  Refunded             1000 1000
ReturnRequested 1000    0  PaymentRefunded   400  ReturnRequested      1000  400
Placed           400    0  PaymentRefunded   400  IllegalTransition
";

fn number(word: &str) -> i64 {
    if word == "MAX" { i64::MAX } else { word.parse().unwrap() }
}

#[test]
fn the_amounts_decide() {
    for line in CASES.lines().filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let [state, captured, refunded, kind, amount, ref expected @ ..] = words[..] else {
            panic!("not a case: {line}")
        };
        let before = order_in(State::from_name(state).unwrap(), number(captured), number(refunded));
        let kind = EventKind::from_name(kind).unwrap();
        let folded = fold(Some(before.clone()), &event(1, body(kind, number(amount))));
        let after = folded.order.unwrap();
        match *expected {
            [to, captured, refunded] => {
                let to = State::from_name(to).unwrap();
                let applied = Outcome::Applied { from: Some(before.state), to };
                assert_eq!(folded.outcome, applied, "{line}");
                assert_eq!(after.state, to, "{line}");
                assert_eq!(after.captured, minor(number(captured)), "{line}");
                assert_eq!(after.refunded, minor(number(refunded)), "{line}");
                assert_eq!(after.anomalies, 0, "{line}");
            }
            [reason] => {
                let reason = Rejection::from_name(reason).unwrap();
                assert_eq!(folded.outcome, Outcome::Rejected(reason), "{line}");
                assert_eq!(after.captured, before.captured, "{line}");
                assert_eq!(after.refunded, before.refunded, "{line}");
                assert_eq!(after.anomalies, 1, "money that does not fit is for a person: {line}");
            }
            _ => panic!("not a case: {line}"),
        }
    }
}

/// Before the amount is even looked at: 1 of the wrong money is no part of the right one.
#[test]
fn only_the_orders_own_currency_counts() {
    for kind in [EventKind::PaymentCaptured, EventKind::PaymentRefunded] {
        for units in [1, TOTAL, i64::MAX] {
            let amount = Money { amount: minor(units), currency: Currency::EUR };
            let body = if kind == EventKind::PaymentCaptured {
                EventBody::PaymentCaptured { amount, reference: None }
            } else {
                crate::given::refunded(amount, &[])
            };
            let folded = fold(Some(order_in(State::Preparing, 500, 0)), &event(1, body));
            assert_eq!(folded.outcome, Outcome::Rejected(Rejection::CurrencyMismatch), "{kind}");
        }
    }
}

/// Sums at the very end of the range.
#[test]
fn the_largest_order_can_be_paid_in_two_parts() {
    let mut order = order_in(State::Placed, 0, 0);
    order.details = Box::new(details_of(Currency::CLP, i64::MAX));
    let first = fold(Some(order), &event(1, body(EventKind::PaymentCaptured, i64::MAX - 1)));
    let second = fold(first.order, &event(2, body(EventKind::PaymentCaptured, 1)));
    let paid = second.order.unwrap();
    assert_eq!((paid.state, paid.captured), (State::Paid, minor(i64::MAX)));
    let beyond = fold(Some(paid), &event(3, body(EventKind::PaymentRefunded, i64::MAX)));
    assert_eq!(beyond.order.unwrap().state, State::Refunded);
}

/// A free order is never paid by a payment of nothing that no one made, but one that says so completes it.
#[test]
fn a_free_order_is_paid_by_nothing() {
    let mut order = order_in(State::Placed, 0, 0);
    order.details = Box::new(details_of(Currency::CLP, 0));
    let folded = fold(Some(order), &event(1, body(EventKind::PaymentCaptured, 0)));
    assert_eq!(folded.order.unwrap().state, State::Paid);
}
