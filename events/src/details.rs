//! What a customer ordered. It never changes after the order is placed.

use std::{collections::BTreeMap, num::NonZeroU32};

use crate::{Currency, Email, Locale, MinorUnits, Text};

/// The most lines one order can have.
pub const MAX_LINES: usize = 500;
/// The most labels one order can have.
pub const MAX_LABELS: usize = 32;

/// Free-form labels, sorted by key.
pub type Labels = BTreeMap<Text<63>, Text<255>>;

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The article's stock-keeping unit.
    pub sku: Text<64>,
    /// The article's name as the customer saw it.
    pub name: Text<200>,
    /// How many.
    pub quantity: NonZeroU32,
    /// The price of one, in the order's currency.
    pub unit_price: MinorUnits,
}

/// Who ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Where mails go.
    pub email: Email,
    /// How to greet.
    pub name: Option<Text<200>>,
    /// Which language to write in; none means English.
    pub locale: Option<Locale>,
}

/// How the customer pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The payment provider.
    pub gateway: Text<64>,
    /// The card's brand, if a card.
    pub card_brand: Option<Text<64>>,
    /// The customer's bank, if known.
    pub bank: Option<Text<100>>,
}

/// What was ordered, by whom, for where and how it is paid. The total is known to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDetails {
    currency: Currency,
    lines: Vec<Line>,
    total: MinorUnits,
    /// Who ordered.
    pub customer: Customer,
    /// Where it goes.
    pub shipping_address: Text<500>,
    /// The sales region.
    pub region: Text<100>,
    /// How it is paid.
    pub payment: Payment,
    labels: Labels,
}

/// Why lines or labels do not make an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailsError {
    /// Nothing was ordered.
    #[error("must have at least one line")]
    NoLines,
    /// More than [`MAX_LINES`].
    #[error("must have at most {MAX_LINES} lines, has {0}")]
    TooManyLines(usize),
    /// More than [`MAX_LABELS`].
    #[error("must have at most {MAX_LABELS} labels, has {0}")]
    TooManyLabels(usize),
    /// The sum over the lines is beyond `i64`.
    #[error("add up to more money than can be counted")]
    TotalOverflow,
}

impl OrderDetails {
    /// Puts an order together and sums it up.
    ///
    /// # Errors
    /// [`DetailsError`], the first that applies in the order of its variants.
    pub fn new(
        currency: Currency,
        lines: Vec<Line>,
        customer: Customer,
        shipping_address: Text<500>,
        region: Text<100>,
        payment: Payment,
        labels: Labels,
    ) -> Result<Self, DetailsError> {
        let total = Self::total_of(&lines)?;
        if labels.len() > MAX_LABELS {
            return Err(DetailsError::TooManyLabels(labels.len()));
        }
        Ok(Self { currency, lines, total, customer, shipping_address, region, payment, labels })
    }

    /// The checked sum over lines, without the rest of an order, for whoever reports every fault at once.
    ///
    /// # Errors
    /// [`DetailsError`], of the lines.
    pub fn total_of(lines: &[Line]) -> Result<MinorUnits, DetailsError> {
        if lines.is_empty() {
            return Err(DetailsError::NoLines);
        }
        if lines.len() > MAX_LINES {
            return Err(DetailsError::TooManyLines(lines.len()));
        }
        lines
            .iter()
            .try_fold(MinorUnits::ZERO, |sum, line| {
                sum.checked_add(line.unit_price.checked_times(line.quantity.get())?)
            })
            .ok_or(DetailsError::TotalOverflow)
    }

    /// The currency of every amount of the order.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// One to [`MAX_LINES`] lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The sum over the lines.
    #[must_use]
    pub const fn total(&self) -> MinorUnits {
        self.total
    }

    /// At most [`MAX_LABELS`] labels.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }
}
