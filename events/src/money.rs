//! Money: whole minor units of an ISO 4217 currency, checked arithmetic, never a float.

use std::fmt;

pub use iso_currency::Currency;

/// An amount in the minor unit of a currency known from context; never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MinorUnits(i64);

/// Why an amount is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Beyond `i64`.
    #[error("is too large")]
    Overflow,
    /// Not an ISO 4217 code in capitals.
    #[error("must be an ISO 4217 currency code such as CLP, EUR or USD")]
    UnknownCurrency,
}

impl MinorUnits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Takes an amount of zero or more.
    ///
    /// # Errors
    /// [`MoneyError::Negative`].
    pub const fn new(amount: i64) -> Result<Self, MoneyError> {
        if amount < 0 {
            return Err(MoneyError::Negative);
        }
        Ok(Self(amount))
    }

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or `None` beyond `i64`.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) if difference >= 0 => Some(Self(difference)),
            Some(_) | None => None,
        }
    }

    /// This amount `quantity` times, or `None` beyond `i64`.
    #[must_use]
    pub fn checked_times(self, quantity: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity)).map(Self)
    }
}

/// An amount together with its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// How much, in the currency's minor unit.
    pub amount: MinorUnits,
    /// Of what.
    pub currency: Currency,
}

impl fmt::Display for Money {
    /// As people read it: `CLP 15990`, `EUR 12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.currency.code();
        let digits = self.currency.exponent().map_or(0, usize::from);
        let text = format!("{:0width$}", self.amount.0, width = digits.saturating_add(1));
        let (whole, fraction) = text.split_at(text.len().saturating_sub(digits));
        if fraction.is_empty() {
            write!(f, "{code} {whole}")
        } else {
            write!(f, "{code} {whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_minor_units_as_people_write_them() {
        let show = |amount, currency| {
            Money { amount: MinorUnits::new(amount).unwrap(), currency }.to_string()
        };
        assert_eq!(show(15_990, Currency::CLP), "CLP 15990");
        assert_eq!(show(1_250, Currency::EUR), "EUR 12.50");
        assert_eq!(show(5, Currency::EUR), "EUR 0.05");
        assert_eq!(show(0, Currency::BHD), "BHD 0.000");
    }

    #[test]
    fn arithmetic_is_checked_at_both_ends() {
        let most = MinorUnits::new(i64::MAX).unwrap();
        let one = MinorUnits::new(1).unwrap();
        assert_eq!(most.checked_add(one), None);
        assert_eq!(most.checked_times(2), None);
        assert_eq!(MinorUnits::ZERO.checked_sub(one), None);
        assert_eq!(MinorUnits::new(-1), Err(MoneyError::Negative));
    }
}
