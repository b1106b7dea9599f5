//! The requests that want something of an existing order: what they have in common, and the command in each.

use codec::{Violations, decode_money, decode_parcel, decode_pieces, decode_version};
use events::{Command, Money, OrderId, Text, Version};
use proto::v1::{self, WaitFor};

use crate::denial::Denial;

/// A request about an existing order.
pub(crate) trait CommandRequest: Send {
    /// What all of them have.
    fn common(&self) -> Common<'_>;

    /// What this one wants; `None` if it has faults.
    fn command(&self, faults: &mut Violations) -> Option<Command>;
}

/// The fields that every such request has.
pub(crate) struct Common<'a> {
    order_id: &'a str,
    request_id: &'a str,
    expected_version: u64,
    wait_for: i32,
    actor: &'a str,
}

/// What a caller wants of an existing order.
pub(crate) struct Wanted {
    pub(crate) order_id: OrderId,
    pub(crate) request_id: Option<Text<128>>,
    pub(crate) actor: Option<Text<100>>,
    pub(crate) expected_version: Option<Version>,
    pub(crate) wait_for: WaitFor,
    pub(crate) command: Command,
}

impl Wanted {
    /// Parses a request, all of its faults at once.
    pub(crate) fn parse(request: &impl CommandRequest) -> Result<Self, Denial> {
        let mut faults = Violations::default();
        let common = request.common();
        let order_id = parse_order_id(common.order_id, &mut faults);
        let request_id = parse_request_id(common.request_id, &mut faults);
        let actor = parse_actor(common.actor, &mut faults);
        let wait_for = parse_wait_for(common.wait_for, &mut faults);
        let command = request.command(&mut faults);
        match (order_id, request_id, actor, wait_for, command) {
            (Some(order_id), Some(request_id), Some(actor), Some(wait_for), Some(command))
                if faults.is_empty() =>
            {
                let expected_version = decode_version(common.expected_version);
                Ok(Self { order_id, request_id, actor, expected_version, wait_for, command })
            }
            _ => Err(Denial::Invalid(faults)),
        }
    }
}

pub(crate) fn parse_order_id(order_id: &str, faults: &mut Violations) -> Option<OrderId> {
    faults.check("order_id", order_id.parse::<OrderId>().map_err(|_| "must be a UUID"))
}

/// An idempotency key, which may be left out.
pub(crate) fn parse_request_id(
    request_id: &str,
    faults: &mut Violations,
) -> Option<Option<Text<128>>> {
    faults.check("request_id", Text::optional(request_id))
}

/// Who reports it, which may be left out.
pub(crate) fn parse_actor(actor: &str, faults: &mut Violations) -> Option<Option<Text<100>>> {
    faults.check("actor", Text::optional(actor))
}

/// When to answer.
pub(crate) fn parse_wait_for(wait_for: i32, faults: &mut Violations) -> Option<WaitFor> {
    let known = WaitFor::try_from(wait_for).map_err(|_| "must be LOGGED or APPLIED");
    faults.check("wait_for", known)
}

/// An amount that may be left out.
fn optional_amount(amount: Option<&v1::Money>, faults: &mut Violations) -> Option<Option<Money>> {
    match amount {
        Some(amount) => decode_money("amount", Some(amount), faults).map(Some),
        None => Some(None),
    }
}

/// Implements [`CommandRequest`]: the common fields by name, the command by the block.
macro_rules! command_request {
    ($($request:ident, |$message:ident, $faults:pat_param| $command:expr;)+) => {$(
        impl CommandRequest for v1::$request {
            fn common(&self) -> Common<'_> {
                Common {
                    order_id: &self.order_id,
                    request_id: &self.request_id,
                    expected_version: self.expected_version,
                    wait_for: self.wait_for,
                    actor: &self.actor,
                }
            }

            fn command(&self, $faults: &mut Violations) -> Option<Command> {
                let $message = self;
                $command
            }
        }
    )+};
}

command_request! {
    RecordPaymentCapturedRequest, |message, faults| {
        let amount = optional_amount(message.amount.as_ref(), faults);
        let reference = faults.check("reference", Text::optional(&message.reference));
        Some(Command::CapturePayment { amount: amount?, reference: reference? })
    };
    RecordPaymentDeclinedRequest, |message, faults| {
        let reason = faults.check("reason", Text::optional(&message.reason))?;
        Some(Command::DeclinePayment { reason })
    };
    RecordPreparationStartedRequest, |_message, _| Some(Command::StartPreparation);
    RecordShippedRequest, |message, faults| {
        let parcel = decode_parcel("parcel", message.parcel.as_ref(), faults);
        let pieces = decode_pieces("lines", &message.lines, faults);
        Some(Command::Ship { parcel: parcel?, pieces: pieces? })
    };
    RecordDeliveredRequest, |_message, _| Some(Command::Deliver);
    RecordDeliveryFailedRequest, |message, faults| {
        let reason = faults.check("reason", Text::optional(&message.reason))?;
        Some(Command::FailDelivery { reason })
    };
    RecordCompletedRequest, |_message, _| Some(Command::Complete);
    RecordReturnedRequest, |message, faults| {
        Some(Command::Return { pieces: decode_pieces("lines", &message.lines, faults)? })
    };
    RecordRefundedRequest, |message, faults| {
        let amount = optional_amount(message.amount.as_ref(), faults);
        let reference = faults.check("reference", Text::optional(&message.reference));
        let pieces = decode_pieces("lines", &message.lines, faults);
        Some(Command::Refund { amount: amount?, reference: reference?, pieces: pieces? })
    };
    CancelOrderRequest, |message, faults| {
        let reason = faults.check("reason", Text::optional(&message.reason))?;
        Some(Command::Cancel { reason })
    };
    RequestReturnRequest, |message, faults| {
        let reason = faults.check("reason", Text::optional(&message.reason));
        let pieces = decode_pieces("lines", &message.lines, faults);
        Some(Command::RequestReturn { reason: reason?, pieces: pieces? })
    };
}
