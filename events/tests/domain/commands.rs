//! Given an order, when a command comes, then this event or that refusal.

use events::{
    Command, EventBody, EventKind, MAX_RECORDED_EVENTS, Outcome, Pieces, Rejection, State, decide,
    fold,
};

use crate::given::{TOTAL, clp, event, order_in, parcel, pieces, text};

fn commands() -> Vec<Command> {
    let reason = || Some(text("changed my mind"));
    let some = || pieces(&[(2, 1)]);
    let capture = |amount| Command::CapturePayment { amount, reference: Some(text("tx-1")) };
    vec![
        capture(None),
        capture(Some(clp(TOTAL / 2))),
        capture(Some(clp(TOTAL + 1))),
        Command::StartPreparation,
        Command::DeclinePayment { reason: None },
        Command::Ship { parcel: parcel("CX-1"), pieces: Pieces::default() },
        Command::Ship { parcel: parcel("CX-1"), pieces: some() },
        Command::Deliver,
        Command::FailDelivery { reason: reason() },
        Command::Complete,
        Command::Cancel { reason: reason() },
        Command::RequestReturn { reason: reason(), pieces: some() },
        Command::Return { pieces: some() },
        Command::Refund { amount: None, reference: None, pieces: some() },
        Command::Refund { amount: Some(clp(1)), reference: None, pieces: Pieces::default() },
    ]
}

/// What is promised is kept, what is refused would have been rejected: the fold is asked about every answer.
#[test]
fn a_decision_is_what_the_fold_would_say() {
    for state in State::ALL {
        for command in commands() {
            let order = order_in(state, 10, 0);
            assert_eq!(command.clone().into_body(&order).kind(), command.kind());
            match decide(&order, command.clone(), None) {
                Ok(body) => {
                    let folded = fold(Some(order), &event(1, body));
                    assert!(matches!(folded.outcome, Outcome::Applied { .. }), "{command:?}");
                }
                Err(refusal) => {
                    assert_eq!((refusal.state, refusal.version), (state, order.version));
                    let body = command.clone().into_body(&order);
                    let folded = fold(Some(order), &event(1, body));
                    let rejected = Outcome::Rejected(refusal.rejection);
                    assert_eq!(folded.outcome, rejected, "{command:?} in {state}");
                }
            }
        }
    }
}

#[test]
fn a_payment_without_an_amount_is_all_that_is_left() {
    let capture = Command::CapturePayment { amount: None, reference: None };
    let body = decide(&order_in(State::Placed, 400, 0), capture, None).unwrap();
    assert_eq!(body, EventBody::PaymentCaptured { amount: clp(TOTAL - 400), reference: None });
}

#[test]
fn what_a_caller_says_is_in_the_event() {
    let placed = order_in(State::Placed, 0, 0);
    let reason = Some(text("changed my mind"));
    let cancel = Command::Cancel { reason: reason.clone() };
    assert_eq!(decide(&placed, cancel, None), Ok(EventBody::OrderCancelled { reason }));
    let ship = Command::Ship { parcel: parcel("CX-1"), pieces: pieces(&[(2, 1)]) };
    let shipped = decide(&order_in(State::Preparing, 0, 0), ship, None);
    assert_eq!(shipped, Ok(crate::given::shipped("CX-1", &[(2, 1)])));
}

#[test]
fn a_refusal_says_what_is_possible() {
    let refusal =
        decide(&order_in(State::Delivered, TOTAL, 0), Command::StartPreparation, None).unwrap_err();
    assert_eq!(refusal.rejection, Rejection::IllegalTransition);
    assert_eq!(
        refusal.allowed().collect::<Vec<_>>(),
        [
            EventKind::PaymentCaptured,
            EventKind::OrderCompleted,
            EventKind::ReturnRequested,
            EventKind::PaymentRefunded
        ]
    );
    assert_eq!(
        refusal.to_string(),
        "PreparationStarted is not possible: IllegalTransition; the order is Delivered at version 1"
    );
}

#[test]
fn an_order_with_a_full_history_takes_no_command() {
    let mut order = order_in(State::Placed, 0, 0);
    order.recorded = vec![order.recorded[0]; MAX_RECORDED_EVENTS];
    for command in commands() {
        let refusal = decide(&order, command, None).unwrap_err();
        assert_eq!(refusal.rejection, Rejection::HistoryFull);
    }
}
