//! The older contract's float price as exact money.
//!
//! A 32-bit float stands for the shortest decimal that reads back as it: what the client wrote before it became a
//! float (19.99, not 19.98999977…). Decimals beyond the currency's are refused, never rounded: they mean that client
//! and server disagree on the currency, and 19.99 must not quietly become 20 pesos.

use events::{Currency, MinorUnits};

/// Why a float is not a price.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum PriceError {
    #[error("must be a number")]
    NotANumber,
    #[error("must not be negative")]
    Negative,
    #[error("is too large")]
    TooLarge,
    #[error("must have at most {max} decimals in {currency}, is {price}")]
    TooPrecise { max: usize, currency: &'static str, price: f32 },
}

/// The exact amount.
pub(crate) fn minor_units(price: f32, currency: Currency) -> Result<MinorUnits, PriceError> {
    if !price.is_finite() {
        return Err(PriceError::NotANumber);
    }
    if price < 0.0 {
        return Err(PriceError::Negative);
    }
    let max = currency.exponent().map_or(0, usize::from);
    // Display writes the shortest decimal, never an exponent; `abs` is for the negative zero.
    let decimal = price.abs().to_string();
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    if fraction.len() > max {
        return Err(PriceError::TooPrecise { max, currency: currency.code(), price });
    }
    let minor = format!("{whole}{fraction:0<max$}").parse().map_err(|_| PriceError::TooLarge)?;
    MinorUnits::new(minor).map_err(|_| PriceError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_or_refused() {
        use Currency::{BHD, CLP, USD};
        let too_precise = |max, currency: Currency, price| {
            Err(PriceError::TooPrecise { max, currency: currency.code(), price })
        };
        for (price, currency, expected) in [
            (0.0, CLP, Ok(0)),
            (-0.0, CLP, Ok(0)),
            (0.1, USD, Ok(10)),
            (19.99, USD, Ok(1_999)),
            (1_234_567.1, USD, Ok(123_456_710)),
            (0.001, BHD, Ok(1)),
            (12_990.0, CLP, Ok(12_990)),
            (16_777_216.0, CLP, Ok(16_777_216)),
            (9.2e18, CLP, Ok(9_200_000_000_000_000_000)),
            (19.99, CLP, too_precise(0, CLP, 19.99)),
            (0.001, USD, too_precise(2, USD, 0.001)),
            (9.3e18, CLP, Err(PriceError::TooLarge)),
            (9.2e18, USD, Err(PriceError::TooLarge)),
            (1e38, CLP, Err(PriceError::TooLarge)),
            (-1.0, CLP, Err(PriceError::Negative)),
            (f32::NAN, CLP, Err(PriceError::NotANumber)),
            (f32::INFINITY, CLP, Err(PriceError::NotANumber)),
            (f32::NEG_INFINITY, CLP, Err(PriceError::NotANumber)),
        ] {
            let amount = minor_units(price, currency).map(MinorUnits::get);
            assert_eq!(amount, expected, "{price} {}", currency.code());
        }
    }
}
