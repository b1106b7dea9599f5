//! Shipments, returns and refunds of some pieces. The order has one piece of line 1 and two of line 2.

use events::{
    Command, EventBody, EventKind, LineProgress, Order, Outcome, Pieces, PiecesError, Rejection,
    State, Version, decide, fold,
};

use crate::given::{TOTAL, body, clp, event, order_in, pieces, refunded, shipped};

/// Folds these bodies one after the other; the state, or the rejection, after each.
fn walk(order: Order, bodies: &[EventBody]) -> (Order, Vec<Result<State, Rejection>>) {
    let mut order = order;
    let mut ends = Vec::new();
    for (n, body) in (10..).zip(bodies) {
        let folded = fold(Some(order), &event(n, body.clone()));
        order = folded.order.unwrap();
        ends.push(match folded.outcome {
            Outcome::Applied { to, .. } => Ok(to),
            Outcome::Rejected(rejection) => Err(rejection),
            Outcome::Duplicate => panic!("every id is new"),
        });
    }
    (order, ends)
}

fn requested(lines: &[(u32, u32)]) -> EventBody {
    EventBody::ReturnRequested { reason: None, pieces: pieces(lines) }
}

fn returned(lines: &[(u32, u32)]) -> EventBody {
    EventBody::OrderReturned { pieces: pieces(lines) }
}

fn progress(order: &Order) -> Vec<[u32; 4]> {
    let numbers =
        |line: &LineProgress| [line.shipped, line.return_requested, line.returned, line.refunded];
    order.progress.iter().map(numbers).collect()
}

#[test]
fn an_order_is_shipped_when_all_its_lines_are() {
    let (order, ends) = walk(
        order_in(State::Preparing, 0, 0),
        &[
            shipped("CX-1", &[(2, 1)]),
            shipped("CX-2", &[(2, 2)]),
            shipped("CX-2", &[(3, 1)]),
            shipped("CX-2", &[(1, 1)]),
            shipped("CX-3", &[]),
        ],
    );
    let beyond = Err(Rejection::ShipmentExceedsOrdered);
    let unknown = Err(Rejection::UnknownLine);
    let part = Ok(State::Preparing);
    assert_eq!(ends, [part, beyond, unknown, part, Ok(State::Shipped)]);
    assert_eq!(progress(&order), [[1, 0, 0, 0], [2, 0, 0, 0]]);
    assert_eq!(order.anomalies, 2);
    assert_eq!(order.parcel.unwrap().tracking_number.as_str(), "CX-3");
}

#[test]
fn what_is_partly_shipped_is_not_cancelled() {
    let cancel = body(EventKind::OrderCancelled, 0);
    let bodies = [shipped("CX-1", &[(2, 1)]), cancel];
    let (order, ends) = walk(order_in(State::Preparing, 0, 0), &bodies);
    assert_eq!(ends, [Ok(State::Preparing), Err(Rejection::PartlyShipped)]);
    assert_eq!(order.anomalies, 0, "a request that came too late is no anomaly");
    let refusal = decide(&order, Command::Cancel { reason: None }, None).unwrap_err();
    assert_eq!(refusal.rejection, Rejection::PartlyShipped);
    assert!(refusal.allowed().all(|event| event != EventKind::OrderCancelled));
}

#[test]
fn a_failed_delivery_is_sent_again_or_comes_back_whole() {
    let failed = order_in(State::DeliveryFailed, 0, 0);
    let (again, ends) = walk(failed.clone(), &[shipped("CX-9", &[])]);
    assert_eq!((ends, progress(&again)), (vec![Ok(State::Shipped)], progress(&failed)));

    let (back, ends) = walk(failed, &[returned(&[(1, 1)]), returned(&[])]);
    assert_eq!(ends, [Ok(State::DeliveryFailed), Ok(State::Returned)]);
    assert_eq!(progress(&back), [[1, 1, 1, 0], [2, 2, 2, 0]]);
}

#[test]
fn what_is_asked_back_comes_back_and_no_more_than_was_shipped() {
    let (order, ends) = walk(
        order_in(State::Delivered, TOTAL, 0),
        &[
            requested(&[(1, 1), (2, 3)]),
            requested(&[(1, 1), (2, 1)]),
            returned(&[(2, 1)]),
            returned(&[(2, 2)]),
            returned(&[]),
            requested(&[(1, 1)]),
            requested(&[]),
            // One that no one asked for is back as well.
            returned(&[(2, 1)]),
            requested(&[]),
        ],
    );
    let beyond = Err(Rejection::ReturnExceedsShipped);
    let (asked, back) = (Ok(State::ReturnRequested), Ok(State::Returned));
    assert_eq!(ends, [beyond, asked, asked, beyond, back, beyond, asked, back, beyond]);
    assert_eq!(progress(&order), [[1, 1, 1, 0], [2, 2, 2, 0]]);
}

#[test]
fn a_return_can_be_of_more_than_was_asked_for() {
    let (order, ends) = walk(
        order_in(State::ReturnRequested, 0, 0),
        &[returned(&[(2, 2)]), returned(&[]), returned(&[])],
    );
    let more = Err(Rejection::IllegalTransition);
    assert_eq!(ends, [Ok(State::ReturnRequested), Ok(State::Returned), more]);
    assert_eq!(progress(&order), [[1, 1, 1, 0], [2, 2, 2, 0]]);
}

#[test]
fn refunds_name_each_piece_once_and_name_none_if_they_like() {
    let (order, ends) = walk(
        order_in(State::Returned, TOTAL, 0),
        &[
            refunded(clp(100), &[(1, 1)]),
            refunded(clp(100), &[(1, 1)]),
            refunded(clp(100), &[(7, 1)]),
            refunded(clp(TOTAL), &[(2, 1)]),
            refunded(clp(1), &[]),
            refunded(clp(TOTAL - 101), &[(2, 2)]),
        ],
    );
    let part = Ok(State::Returned);
    let twice = Err(Rejection::RefundExceedsOrdered);
    let unknown = Err(Rejection::UnknownLine);
    let too_much = Err(Rejection::RefundExceedsCaptured);
    assert_eq!(ends, [part, twice, unknown, too_much, part, Ok(State::Refunded)]);
    assert_eq!(progress(&order), [[1, 1, 1, 1], [2, 0, 0, 2]]);
}

#[test]
fn an_event_for_another_version_does_not_count() {
    let order = order_in(State::Placed, 0, 0);
    let mut stale = event(1, body(EventKind::PaymentDeclined, 0));
    stale.expected_version = Some(Version::new(2));
    let folded = fold(Some(order), &stale);
    assert_eq!(folded.outcome, Outcome::Rejected(Rejection::StaleVersion));
    let after = folded.order.unwrap();
    assert_eq!((after.state, after.anomalies), (State::Placed, 0), "no one needs to look");

    let mut timely = event(2, body(EventKind::PaymentDeclined, 0));
    timely.expected_version = Some(after.version);
    let folded = fold(Some(after), &timely);
    assert_eq!(folded.order.unwrap().state, State::PaymentFailed);
}

#[test]
fn pieces_name_lines_from_one_each_once() {
    assert!(Pieces::new([]).unwrap().is_empty());
    assert_eq!(Pieces::new([(2, 3), (1, 1)]).unwrap().iter().collect::<Vec<_>>(), [(1, 1), (2, 3)]);
    assert_eq!(Pieces::new([(0, 1)]), Err(PiecesError::LineZero));
    assert_eq!(Pieces::new([(1, 0)]), Err(PiecesError::QuantityZero));
    assert_eq!(Pieces::new([(1, 1), (1, 2)]), Err(PiecesError::LineTwice(1)));
    assert_eq!(Pieces::new((1..=501).map(|n| (n, 1))), Err(PiecesError::TooManyLines(501)));
}
