//! What makes an order: one line to 500, few labels, a total that can be counted.

use events::{Currency, DetailsError, Labels, Line, MAX_LABELS, MAX_LINES, OrderDetails, Text};
use proptest::prelude::*;

use crate::given::{customer, line, minor, payment, text};

fn details(lines: Vec<Line>, labels: Labels) -> Result<OrderDetails, DetailsError> {
    OrderDetails::new(
        Currency::CLP,
        lines,
        customer(),
        text("Av. Siempreviva 742"),
        text("Metropolitana"),
        payment(),
        labels,
    )
}

fn labels(count: usize) -> Labels {
    (0..count).map(|n| (Text::new(&format!("label {n}")).unwrap(), text("x"))).collect()
}

#[test]
fn an_order_has_one_line_to_500() {
    assert_eq!(details(vec![], labels(0)), Err(DetailsError::NoLines));
    assert!(details(vec![line(1, 1)], labels(0)).is_ok());
    assert!(details(vec![line(1, 1); MAX_LINES], labels(0)).is_ok());
    let beyond = MAX_LINES + 1;
    let refused = details(vec![line(1, 1); beyond], labels(0));
    assert_eq!(refused, Err(DetailsError::TooManyLines(beyond)));
    assert_eq!(
        DetailsError::TooManyLines(beyond).to_string(),
        "must have at most 500 lines, has 501"
    );
}

#[test]
fn an_order_has_few_labels() {
    assert_eq!(details(vec![line(1, 1)], labels(MAX_LABELS)).unwrap().labels().len(), MAX_LABELS);
    let beyond = MAX_LABELS + 1;
    let refused = details(vec![line(1, 1)], labels(beyond));
    assert_eq!(refused, Err(DetailsError::TooManyLabels(beyond)));
}

/// The lines are looked at first.
#[test]
fn the_first_fault_is_named() {
    assert_eq!(details(vec![], labels(MAX_LABELS + 1)), Err(DetailsError::NoLines));
    let refused = details(vec![line(2, i64::MAX)], labels(MAX_LABELS + 1));
    assert_eq!(refused, Err(DetailsError::TotalOverflow));
}

#[test]
fn a_total_may_be_nothing_or_as_much_as_can_be_counted() {
    assert_eq!(details(vec![line(9, 0)], labels(0)).unwrap().total(), minor(0));
    let most = details(vec![line(1, i64::MAX - 1), line(1, 1)], labels(0)).unwrap();
    assert_eq!(most.total(), minor(i64::MAX));
    let beyond = details(vec![line(1, i64::MAX), line(1, 1)], labels(0));
    assert_eq!(beyond, Err(DetailsError::TotalOverflow));
}

proptest! {
    #[test]
    fn the_total_is_the_exact_sum_or_there_is_none(
        lines in prop::collection::vec((1..=u32::MAX, prop_oneof![0..1_000_i64, 0..=i64::MAX]), 1..6)
    ) {
        let exact: i128 = lines.iter().map(|(quantity, price)| i128::from(*quantity) * i128::from(*price)).sum();
        let lines: Vec<_> = lines.into_iter().map(|(quantity, price)| line(quantity, price)).collect();
        match details(lines.clone(), labels(0)) {
            Ok(details) => {
                prop_assert_eq!(i128::from(details.total().get()), exact);
                prop_assert_eq!(details.lines(), &lines);
                prop_assert_eq!(OrderDetails::total_of(&lines), Ok(details.total()));
            }
            Err(error) => {
                prop_assert_eq!(error, DetailsError::TotalOverflow);
                prop_assert!(exact > i128::from(i64::MAX));
            }
        }
    }
}
