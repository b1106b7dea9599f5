//! Every way in which a call can fail, and the one place that turns it into a gRPC status with its details.

use std::{collections::HashMap, time::Duration};

use codec::Violations;
use events::{EventKind, OrderId, Refusal, Rejection};
use ports::{AppendError, LogError, Position, SearchError, StoreError};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};

/// Who says so in `google.rpc.ErrorInfo`.
const DOMAIN: &str = "order-ledger";

/// Why a call fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denial {
    /// The request breaks rules, all of them named.
    #[error("{0}")]
    Invalid(Violations),
    /// No event of this order is in the log.
    #[error("there is no order {0}")]
    NotFound(OrderId),
    /// It is asked for as it was before there was one.
    #[error("order {0} was not placed yet then")]
    NotYetPlaced(OrderId),
    /// The order's state, or what was recorded before, forbids it.
    #[error("{}", refused(*.order_id, .refusal))]
    Refused {
        /// Whose state.
        order_id: OrderId,
        /// What would be possible.
        refusal: Refusal,
    },
    /// A version or a token is beyond what there is.
    #[error("{0}")]
    OutOfRange(String),
    /// The caller's time was over before the projection reached what it waits for.
    #[error("the record at {}/{} of the event log is not folded yet", .0.partition, .0.offset)]
    Unfolded(Position),
    /// The record was folded, but its order's history does not have it: it is a dead letter.
    #[error("the record at {}/{} of the event log could not be read and was put aside", .0.partition, .0.offset)]
    Unjudged(Position),
    /// The event is kept, but a record of its order before it could not be read: someone must decide on that one.
    #[error(
        "order {order_id} is parked: a record of it could not be read, so the one at {}/{} waits until someone decides",
        .position.partition, .position.offset
    )]
    Parked {
        /// Which order.
        order_id: OrderId,
        /// Where the event is.
        position: Position,
    },
    /// A server behind the api is away.
    #[error("the {0} is not available")]
    Away(&'static str),
    /// The snapshot may be older than what was acknowledged, so neither yes nor no can be said.
    #[error("the order's latest events are not folded yet")]
    Behind,
    /// A bound is reached.
    #[error("{0}")]
    Busy(&'static str),
    /// A watcher's queue is full: it is dropped, so that the others are not slowed.
    #[error("changes were read too slowly; watch again with the last resume_token")]
    TooSlow,
    /// The caller's time, or the api's, is over. What was appended stays appended.
    #[error("the deadline passed before the answer was there")]
    Late,
    /// No more work is taken.
    #[error("shutting down")]
    Closing,
    /// The store holds what can't be; retrying won't help.
    #[error("the order's stored state is damaged")]
    Damaged,
}

impl Denial {
    const fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NotFound(_) | Self::NotYetPlaced(_) => Code::NotFound,
            Self::Refused { refusal, .. }
                if matches!(refusal.rejection, Rejection::EventIdReused) =>
            {
                Code::AlreadyExists
            }
            Self::Refused { refusal, .. }
                if matches!(refusal.rejection, Rejection::StaleVersion) =>
            {
                Code::Aborted
            }
            Self::Refused { .. } | Self::Parked { .. } => Code::FailedPrecondition,
            Self::OutOfRange(_) => Code::OutOfRange,
            Self::Away(_) | Self::Behind | Self::Closing => Code::Unavailable,
            Self::Busy(_) | Self::TooSlow => Code::ResourceExhausted,
            Self::Late | Self::Unfolded(_) => Code::DeadlineExceeded,
            Self::Damaged | Self::Unjudged(_) => Code::Internal,
        }
    }

    /// The order that it is about, if it is about one that is known.
    pub(crate) const fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::NotFound(order_id)
            | Self::NotYetPlaced(order_id)
            | Self::Refused { order_id, .. }
            | Self::Parked { order_id, .. } => Some(*order_id),
            Self::Invalid(_)
            | Self::OutOfRange(_)
            | Self::Unfolded(_)
            | Self::Unjudged(_)
            | Self::Away(_)
            | Self::Behind
            | Self::Busy(_)
            | Self::TooSlow
            | Self::Late
            | Self::Closing
            | Self::Damaged => None,
        }
    }

    /// A watch that was to go on from changes that are no longer there.
    pub(crate) fn expired() -> Self {
        let why = "the changes after this token have expired; watch anew, without it";
        Self::OutOfRange(why.to_owned())
    }

    fn details(&self) -> ErrorDetails {
        match self {
            Self::Invalid(faults) => ErrorDetails::with_bad_request(
                faults
                    .as_slice()
                    .iter()
                    .map(|fault| FieldViolation::new(&fault.field, &fault.description))
                    .collect::<Vec<_>>(),
            ),
            Self::NotFound(order_id) | Self::NotYetPlaced(order_id) => {
                ErrorDetails::with_resource_info(
                    "orderledger.v1.Order",
                    order_id.to_string(),
                    "",
                    self.to_string(),
                )
            }
            Self::Refused { order_id, refusal } => refusal_details(*order_id, refusal),
            Self::Away(_) | Self::Closing => retry_after(Duration::from_secs(1)),
            Self::Behind => retry_after(Duration::from_millis(500)),
            Self::Busy(_) => retry_after(Duration::from_millis(100)),
            Self::Parked { order_id, position } => {
                let metadata = HashMap::from([
                    ("order_id".to_owned(), order_id.to_string()),
                    ("partition".to_owned(), position.partition.to_string()),
                    ("offset".to_owned(), position.offset.to_string()),
                ]);
                ErrorDetails::with_error_info("ORDER_PARKED", DOMAIN, metadata)
            }
            Self::OutOfRange(_)
            | Self::Unfolded(_)
            | Self::Unjudged(_)
            | Self::TooSlow
            | Self::Late
            | Self::Damaged => ErrorDetails::new(),
        }
    }
}

/// A request id that was used is no matter of the order's state.
fn refused(order_id: OrderId, refusal: &Refusal) -> String {
    match (refusal.rejection, refusal.event) {
        (Rejection::EventIdReused, EventKind::OrderPlaced) => {
            format!("the request id stands for another order: {order_id} was placed under it")
        }
        (Rejection::EventIdReused, _) => {
            format!("the request id stands for another event of order {order_id}")
        }
        (_, _) => refusal.to_string(),
    }
}

fn retry_after(delay: Duration) -> ErrorDetails {
    ErrorDetails::with_retry_info(Some(delay))
}

fn refusal_details(order_id: OrderId, refusal: &Refusal) -> ErrorDetails {
    let allowed: Vec<_> = refusal.allowed().map(|event| event.name()).collect();
    let metadata = HashMap::from([
        ("event".to_owned(), refusal.event.name().to_owned()),
        ("state".to_owned(), refusal.state.name().to_owned()),
        ("version".to_owned(), refusal.version.to_string()),
        ("allowed_events".to_owned(), allowed.join(", ")),
    ]);
    let reason = reason(refusal.rejection);
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    details.set_precondition_failure(vec![PreconditionViolation::new(
        reason,
        format!("orders/{order_id}"),
        refusal.to_string(),
    )]);
    details
}

/// A rejection as `google.rpc.ErrorInfo` spells reasons.
const fn reason(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::UnknownOrder => "UNKNOWN_ORDER",
        Rejection::EventIdReused => "EVENT_ID_REUSED",
        Rejection::HistoryFull => "HISTORY_FULL",
        Rejection::StaleVersion => "STALE_VERSION",
        Rejection::IllegalTransition => "ILLEGAL_TRANSITION",
        Rejection::PartlyShipped => "PARTLY_SHIPPED",
        Rejection::UnknownLine => "UNKNOWN_LINE",
        Rejection::ShipmentExceedsOrdered => "SHIPMENT_EXCEEDS_ORDERED",
        Rejection::ReturnExceedsShipped => "RETURN_EXCEEDS_SHIPPED",
        Rejection::RefundExceedsOrdered => "REFUND_EXCEEDS_ORDERED",
        Rejection::CurrencyMismatch => "CURRENCY_MISMATCH",
        Rejection::CaptureExceedsTotal => "CAPTURE_EXCEEDS_TOTAL",
        Rejection::RefundExceedsCaptured => "REFUND_EXCEEDS_CAPTURED",
    }
}

impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        Self::with_error_details(denial.code(), denial.to_string(), denial.details())
    }
}

/// A status as a message, for one result among many.
pub(crate) fn to_rpc_status(status: &Status) -> tonic_types::Status {
    // tonic keeps the details as the encoded message, code and text included.
    match tonic_types::Status::decode(status.details()) {
        Ok(message) if !message.details.is_empty() => message,
        Ok(_) | Err(_) => tonic_types::Status {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: Vec::new(),
        },
    }
}

impl From<AppendError> for Denial {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::QueueFull => Self::Busy("the event log's queue is full"),
            AppendError::TooLarge { size, max } => {
                let mut faults = Violations::default();
                faults.add("details", format_args!("take {size} bytes, at most {max} fit"));
                Self::Invalid(faults)
            }
            // The outage itself is logged once, by the health check.
            AppendError::Unacknowledged(why) => {
                tracing::debug!(why, "an event was not acknowledged");
                Self::Away("event log")
            }
        }
    }
}

impl From<LogError> for Denial {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Expired { .. } => Self::expired(),
            LogError::Unavailable(_) | LogError::Unfit(_) => {
                tracing::debug!(%error, "the event log did not answer");
                Self::Away("event log")
            }
        }
    }
}

impl From<SearchError> for Denial {
    fn from(error: SearchError) -> Self {
        tracing::debug!(%error, "the search index did not answer");
        Self::Away("search index")
    }
}

impl From<StoreError> for Denial {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::debug!(why, "the store did not answer");
                Self::Away("order store")
            }
            StoreError::Corrupt(why) => {
                tracing::error!(why, "the store is damaged");
                Self::Damaged
            }
            StoreError::OtherFold { .. } => {
                tracing::error!(%error, "the store is not of this program");
                Self::Damaged
            }
        }
    }
}
