//! The verbs that report what happened to an order, or ask for something: one call each.

use proto::v1;
use tonic::{Response, Status};

use crate::{
    cli::{GoodsVerb, RecordVerb},
    client::{ClientError, Session, refused},
    table,
};

/// A request with what all calls that write have in common, within the caller's time.
macro_rules! request {
    ($session:ident, $write:ident, $message:ident { $($field:ident),* }) => {
        $session.within(v1::$message {
            wait_for: wait_for($write.wait),
            order_id: $write.order_id,
            request_id: $write.request_id,
            expected_version: $write.expected_version,
            actor: $write.actor,
            $($field),*
        })
    };
}

/// As the wire has `--wait`.
pub(crate) fn wait_for(applied: bool) -> i32 {
    let wait_for = if applied { v1::WaitFor::Applied } else { v1::WaitFor::Logged };
    wait_for.into()
}

pub(crate) async fn run(session: &mut Session, verb: RecordVerb) -> Result<(), ClientError> {
    let answer = match verb {
        RecordVerb::Pay { write, amount, reference } => {
            let amount = amount.money();
            let request =
                request!(session, write, RecordPaymentCapturedRequest { amount, reference });
            session.client.record_payment_captured(request).await
        }
        RecordVerb::Decline { write, reason } => {
            let reason = reason.reason;
            let request = request!(session, write, RecordPaymentDeclinedRequest { reason });
            session.client.record_payment_declined(request).await
        }
        RecordVerb::Refund { write, amount, reference, lines } => {
            let (amount, lines) = (amount.money(), lines.lines);
            let request =
                request!(session, write, RecordRefundedRequest { amount, reference, lines });
            session.client.record_refunded(request).await
        }
        RecordVerb::Cancel { write, reason } => {
            let reason = reason.reason;
            let request = request!(session, write, CancelOrderRequest { reason });
            session.client.cancel_order(request).await
        }
        RecordVerb::Prepare { write } => {
            let request = request!(session, write, RecordPreparationStartedRequest {});
            session.client.record_preparation_started(request).await
        }
        RecordVerb::Complete { write } => {
            let request = request!(session, write, RecordCompletedRequest {});
            session.client.record_completed(request).await
        }
        RecordVerb::Goods(verb) => goods(session, verb).await,
    };
    let answer = answer.map_err(refused)?.into_inner();
    session.out.show(&answer, recorded)
}

/// What moves from here to the customer and back.
async fn goods(
    session: &mut Session,
    verb: GoodsVerb,
) -> Result<Response<v1::RecordEventResponse>, Status> {
    match verb {
        GoodsVerb::Ship { write, carrier, tracking_number, lines } => {
            let (parcel, lines) = (Some(v1::Parcel { carrier, tracking_number }), lines.lines);
            let request = request!(session, write, RecordShippedRequest { parcel, lines });
            session.client.record_shipped(request).await
        }
        GoodsVerb::Deliver { write } => {
            let request = request!(session, write, RecordDeliveredRequest {});
            session.client.record_delivered(request).await
        }
        GoodsVerb::FailDelivery { write, reason } => {
            let reason = reason.reason;
            let request = request!(session, write, RecordDeliveryFailedRequest { reason });
            session.client.record_delivery_failed(request).await
        }
        GoodsVerb::RequestReturn { write, reason, lines } => {
            let (reason, lines) = (reason.reason, lines.lines);
            let request = request!(session, write, RequestReturnRequest { reason, lines });
            session.client.request_return(request).await
        }
        GoodsVerb::Return { write, lines } => {
            let lines = lines.lines;
            let request = request!(session, write, RecordReturnedRequest { lines });
            session.client.record_returned(request).await
        }
    }
}

/// One line: the event and its place, and with `--wait` where the order stands now.
fn recorded(answer: &v1::RecordEventResponse) -> String {
    let v1::RecordEventResponse { event_id, position, order, .. } = answer;
    let place = table::position(position.as_ref());
    let mut line = format!("recorded as event {event_id} at {place}");
    if let Some(order) = order {
        let state = table::state_name(order.state);
        line = format!("{line}; the order is {state}, version {}", order.version);
    }
    line
}
