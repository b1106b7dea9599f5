//! Money never goes below zero or round the end, and reads as people write it.

use events::{Currency, MinorUnits, Money, MoneyError};
use proptest::prelude::*;

use crate::given::minor;

/// Small, large and at the very end.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![0..10_i64, 0..=i64::MAX, (i64::MAX - 10)..=i64::MAX]
}

proptest! {
    #[test]
    fn nothing_below_zero_is_an_amount(number in any::<i64>()) {
        match MinorUnits::new(number) {
            Ok(amount) => prop_assert_eq!((amount.get(), number >= 0), (number, true)),
            Err(error) => prop_assert_eq!((error, number < 0), (MoneyError::Negative, true)),
        }
    }

    #[test]
    fn arithmetic_is_that_of_whole_numbers_or_none(a in amount(), b in amount(), times in any::<u32>()) {
        let exact = |number: i128| {
            i64::try_from(number).ok().filter(|number| *number >= 0).map(minor)
        };
        let (wide_a, wide_b) = (i128::from(a), i128::from(b));
        let (a, b) = (minor(a), minor(b));
        prop_assert_eq!(a.checked_add(b), exact(wide_a + wide_b));
        prop_assert_eq!(a.checked_sub(b), exact(wide_a - wide_b));
        prop_assert_eq!(a.checked_times(times), exact(wide_a * i128::from(times)));
    }

    #[test]
    fn the_digits_shown_are_the_digits_counted(number in amount()) {
        for (currency, digits) in [(Currency::CLP, 0), (Currency::USD, 2), (Currency::KWD, 3)] {
            let shown = Money { amount: minor(number), currency }.to_string();
            let (code, figure) = shown.split_once(' ').unwrap();
            prop_assert_eq!(code, currency.code());
            let fraction = figure.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            prop_assert_eq!(fraction, digits);
            prop_assert_eq!(figure.replace('.', "").parse::<i64>().unwrap(), number);
        }
    }
}
