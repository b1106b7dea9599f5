//! Results on stdout: tables for people, canonical proto JSON for programs.

use std::io::{self, Write as _};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use proto::v1;

use crate::{cli::Output, client::ClientError};

/// As the .proto files have it: their field names, numbers as numbers, and every field, so that scripts need not ask
/// whether one is there.
const AS_IN_PROTO: SerializeOptions = SerializeOptions::new()
    .use_proto_field_name(true)
    .stringify_64_bit_integers(false)
    .skip_default_fields(false);

/// A message that knows what the .proto files call it.
pub(crate) trait Named: Message {
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident)*) => {
        $(impl Named for v1::$message {
            const NAME: &'static str = concat!("orderledger.v1.", stringify!($message));
        })*
    };
}

named! {
    GetOrderHistoryResponse GetOrderResponse HistoryEntry ListOrdersResponse Order OrderSummary PlaceOrderResponse
    RecordEventResponse SearchOrdersResponse WatchOrderResponse WatchOrdersResponse
}

/// For whom results are written.
pub(crate) enum Out {
    Human,
    Json(Json),
}

/// Writes messages as JSON.
pub(crate) struct Json(DescriptorPool);

impl Json {
    /// One line, its fields in the order of the .proto files.
    ///
    /// # Errors
    /// Only if the message is not one of the .proto files'.
    pub(crate) fn text<M: Named>(&self, message: &M) -> Result<String, ClientError> {
        let descriptor = self
            .0
            .get_message_by_name(M::NAME)
            .ok_or_else(|| ClientError::Json(format!("there is no message {}", M::NAME).into()))?;
        let mut dynamic = DynamicMessage::new(descriptor);
        dynamic.transcode_from(message).map_err(|error| ClientError::Json(error.into()))?;
        let mut text = Vec::new();
        dynamic
            .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &AS_IN_PROTO)
            .map_err(|error| ClientError::Json(error.into()))?;
        String::from_utf8(text).map_err(|error| ClientError::Json(error.into()))
    }
}

impl Out {
    pub(crate) fn new(output: Output) -> Result<Self, ClientError> {
        match output {
            Output::Human => Ok(Self::Human),
            Output::Json => DescriptorPool::decode(proto::DESCRIPTOR_SET)
                .map(|pool| Self::Json(Json(pool)))
                .map_err(|error| ClientError::Json(error.into())),
        }
    }

    /// Writes one result as one line of JSON, or as what `human` makes of it, at once.
    pub(crate) fn show<M: Named>(
        &self,
        message: &M,
        human: impl FnOnce(&M) -> String,
    ) -> Result<(), ClientError> {
        let text = match self {
            Self::Human => human(message),
            Self::Json(json) => json.text(message)?,
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }
}
