//! Amounts as the reader of a mail writes them.

use events::{Currency, Language, MinorUnits};

/// The amount with the currency's own number of decimals, digits grouped by thousands: `EUR 1,234.50` in English,
/// `1.234,50 EUR` in Spanish. The code instead of a sign: `$` is the currency of a dozen countries.
pub(crate) fn format(amount: MinorUnits, currency: Currency, language: Language) -> String {
    let decimals = currency.exponent().map_or(0, usize::from);
    let digits = format!("{:0width$}", amount.get(), width = decimals.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
    let (group, point) = match language {
        Language::English => (',', '.'),
        Language::Spanish => ('.', ','),
    };
    let mut number = String::with_capacity(digits.len().saturating_mul(2));
    for (index, digit) in whole.chars().enumerate() {
        let to_come = whole.len().saturating_sub(index);
        if index > 0 && to_come.is_multiple_of(3) {
            number.push(group);
        }
        number.push(digit);
    }
    if !fraction.is_empty() {
        number.push(point);
        number.push_str(fraction);
    }
    match language {
        Language::English => format!("{} {number}", currency.code()),
        Language::Spanish => format!("{number} {}", currency.code()),
    }
}

#[cfg(test)]
mod tests {
    use testkit::sample::minor;

    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let cases = [
            (0, Currency::CLP, "CLP 0", "0 CLP"),
            (999, Currency::CLP, "CLP 999", "999 CLP"),
            (15_990, Currency::CLP, "CLP 15,990", "15.990 CLP"),
            (5, Currency::EUR, "EUR 0.05", "0,05 EUR"),
            (123_450, Currency::EUR, "EUR 1,234.50", "1.234,50 EUR"),
            (1_234_567, Currency::BHD, "BHD 1,234.567", "1.234,567 BHD"),
            (
                i64::MAX,
                Currency::USD,
                "USD 92,233,720,368,547,758.07",
                "92.233.720.368.547.758,07 USD",
            ),
        ];
        for (amount, currency, english, spanish) in cases {
            assert_eq!(format(minor(amount), currency, Language::English), english);
            assert_eq!(format(minor(amount), currency, Language::Spanish), spanish);
        }
    }
}
