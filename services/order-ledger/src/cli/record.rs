//! The verbs of `order-ledger order` that report what happened to an order, or ask for something.

use clap::{Args, Subcommand};
use proto::v1;

use super::{order::EXIT_CODES, values};

#[derive(Debug, Subcommand)]
pub(crate) enum RecordVerb {
    /// Report that a payment came in
    #[command(after_help = EXIT_CODES)]
    Pay {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        amount: AmountArgs,
        /// The payment provider's own id
        #[arg(long, default_value = "", hide_default_value = true)]
        reference: String,
    },
    /// Report that a payment was declined
    #[command(after_help = EXIT_CODES)]
    Decline {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        reason: ReasonArgs,
    },
    /// Report that picking and packing began
    #[command(after_help = EXIT_CODES)]
    Prepare {
        #[command(flatten)]
        write: WriteArgs,
    },
    #[command(flatten)]
    Goods(GoodsVerb),
    /// Report that money was paid back
    #[command(after_help = EXIT_CODES)]
    Refund {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        amount: AmountArgs,
        /// The payment provider's own id
        #[arg(long, default_value = "", hide_default_value = true)]
        reference: String,
        #[command(flatten)]
        lines: LineArgs,
    },
    /// Close it
    #[command(after_help = EXIT_CODES)]
    Complete {
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Call it off
    #[command(after_help = EXIT_CODES)]
    Cancel {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        reason: ReasonArgs,
    },
}

/// What moves from here to the customer and back.
#[derive(Debug, Subcommand)]
pub(crate) enum GoodsVerb {
    /// Report that the carrier took a parcel; without --line all that was not shipped yet is in it
    #[command(after_help = EXIT_CODES)]
    Ship {
        #[command(flatten)]
        write: WriteArgs,
        #[arg(long)]
        carrier: String,
        #[arg(long)]
        tracking_number: String,
        #[command(flatten)]
        lines: LineArgs,
    },
    /// Report that the customer has it
    #[command(after_help = EXIT_CODES)]
    Deliver {
        #[command(flatten)]
        write: WriteArgs,
    },
    /// Report that the carrier could not hand it over
    #[command(after_help = EXIT_CODES)]
    FailDelivery {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        reason: ReasonArgs,
    },
    /// Ask to send it back; without --line all that was shipped
    #[command(after_help = EXIT_CODES)]
    RequestReturn {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        reason: ReasonArgs,
        #[command(flatten)]
        lines: LineArgs,
    },
    /// Report what came back; without --line all that was to
    #[command(after_help = EXIT_CODES)]
    Return {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        lines: LineArgs,
    },
}

/// What the calls that write have in common.
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    pub(crate) order_id: String,
    /// The idempotency key: a repeat with the same one has no effect of its own
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) request_id: String,
    /// Only if the order is at this version; waits for the verdict
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) expected_version: u64,
    /// Who reports it [default: "api"]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) actor: String,
    /// Wait until the state machine has accepted it, and answer with the order
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReasonArgs {
    /// Why, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct AmountArgs {
    /// How much, as an integer in the currency's minor unit (1050 is USD 10.50; 1050 is CLP 1050); without it, all
    #[arg(long, value_name = "MINOR_UNITS", requires = "currency")]
    amount: Option<i64>,
    /// The amount's currency, ISO 4217, as in USD
    #[arg(long, value_name = "CODE", requires = "amount")]
    currency: Option<String>,
}

impl AmountArgs {
    pub(crate) fn money(self) -> Option<v1::Money> {
        let (minor_units, currency_code) = self.amount.zip(self.currency)?;
        Some(v1::Money { currency_code, minor_units })
    }
}

#[derive(Debug, Args)]
pub(crate) struct LineArgs {
    /// So many pieces of the order's line N, counted from 1; repeat it for several lines
    #[arg(long = "line", value_name = "N=QUANTITY", value_parser = values::line)]
    pub(crate) lines: Vec<v1::LineQuantity>,
}
