//! Orders to place, each following from the seed and its number: varied as a shop's are, so that lists, searches and sums
//! by region, gateway, card or bank have something to tell apart.

use std::collections::BTreeMap;

use ports::LOAD_TEST_TYPE;
use proto::v1;

use super::{dice::Dice, plan::Plan};

/// Beside the label of its load test, the run's own, to find its orders again.
const LABEL_RUN: &str = "load_run";

/// Regions and towns in them.
const REGIONS: [(&str, &str); 8] = [
    ("Metropolitana", "Santiago"),
    ("Valparaíso", "Viña del Mar"),
    ("Biobío", "Concepción"),
    ("Maule", "Talca"),
    ("La Araucanía", "Temuco"),
    ("Los Lagos", "Puerto Montt"),
    ("Antofagasta", "Calama"),
    ("Coquimbo", "La Serena"),
];
const GATEWAYS: [&str; 5] = ["Webpay", "MercadoPago", "PayPal", "Stripe", "Khipu"];
const CARDS: [&str; 4] = ["Visa", "Mastercard", "Amex", "Redcompra"];
const BANKS: [&str; 6] =
    ["Banco de Chile", "BancoEstado", "Santander", "BCI", "Itaú", "Scotiabank"];
const NAMES: [&str; 8] = [
    "Ana Soto",
    "Benjamín Rojas",
    "Carla Díaz",
    "Diego Pérez",
    "Elisa Muñoz",
    "Felipe Silva",
    "Inés Vera",
    "Juan Lagos",
];
/// Currencies with the price of the cheapest thing, in minor units.
const CURRENCIES: [(&str, i64); 4] = [("CLP", 2_990), ("USD", 399), ("EUR", 349), ("BRL", 1_990)];
/// Goods, and how many times the cheapest thing they cost.
const GOODS: [(&str, &str, i64); 8] = [
    ("MUG-01", "Mug", 2),
    ("TEA-07", "Tea", 1),
    ("TEE-BLK-M", "T-shirt, black, M", 4),
    ("BAG-TOTE", "Tote bag", 3),
    ("BOOK-RUST", "Book", 11),
    ("LAMP-3", "Lamp", 17),
    ("PEN-SET", "Set of pens", 2),
    ("CHAIR-9", "Chair", 43),
];

/// The lines of an order at most.
const LINES_MAX: u64 = 4;
/// Of one line at most.
const PIECES_MAX: u64 = 3;

/// What the number-th call places, if it places.
pub(super) fn order(plan: &Plan, number: u64) -> v1::PlaceOrderRequest {
    let mut dice = Dice::new(plan.seed.wrapping_add(1), number);
    let (currency_code, price) = dice.one_of(CURRENCIES).unwrap_or(("CLP", 2_990));
    let (region, town) = dice.one_of(REGIONS).unwrap_or_default();
    let street = dice.below(2_000);
    let details = v1::OrderDetails {
        currency_code: currency_code.to_owned(),
        lines: (0..=dice.below(LINES_MAX)).map(|_| line(&mut dice, price)).collect(),
        customer: Some(customer(&mut dice, plan.customers)),
        shipping_address: format!("Av. Providencia {street}, {town}"),
        region: region.to_owned(),
        payment: Some(v1::Payment {
            gateway: dice.one_of(GATEWAYS).unwrap_or_default().to_owned(),
            card_brand: dice.one_of(CARDS).unwrap_or_default().to_owned(),
            bank: dice.one_of(BANKS).unwrap_or_default().to_owned(),
        }),
        labels: BTreeMap::from([
            (LOAD_TEST_TYPE.to_owned(), plan.load_test_type.clone()),
            (LABEL_RUN.to_owned(), plan.run_id.clone()),
        ]),
    };
    v1::PlaceOrderRequest {
        request_id: request_id(plan, number),
        details: Some(details),
        actor: "load".to_owned(),
        ..Default::default()
    }
}

/// The idempotency key of the number-th call.
pub(super) fn request_id(plan: &Plan, number: u64) -> String {
    format!("{}-{number}", plan.run_id)
}

/// Which orders the number-th call lists.
pub(super) fn filter(plan: &Plan, number: u64) -> v1::OrderFilter {
    let mut dice = Dice::new(plan.seed.wrapping_add(2), number);
    let (region, _) = dice.one_of(REGIONS).unwrap_or_default();
    v1::OrderFilter { region: region.to_owned(), ..Default::default() }
}

/// What the number-th call searches: a word that some orders have and others do not.
pub(super) fn words(plan: &Plan, number: u64) -> String {
    let mut dice = Dice::new(plan.seed.wrapping_add(3), number);
    let (sku, _, _) = dice.one_of(GOODS).unwrap_or_default();
    let name = dice.one_of(NAMES).unwrap_or_default();
    dice.one_of([sku, name]).unwrap_or_default().to_owned()
}

fn line(dice: &mut Dice, price: i64) -> v1::OrderLine {
    let (sku, name, times) = dice.one_of(GOODS).unwrap_or_default();
    v1::OrderLine {
        sku: sku.to_owned(),
        name: name.to_owned(),
        quantity: u32::try_from(1 + dice.below(PIECES_MAX)).unwrap_or(1),
        unit_price_minor: price.saturating_mul(times),
    }
}

fn customer(dice: &mut Dice, customers: u32) -> v1::Customer {
    let number = dice.below(u64::from(customers));
    // A customer has one name and one language in all orders.
    let mut own = Dice::new(0, number);
    v1::Customer {
        email: format!("customer-{number}@example.com"),
        name: own.one_of(NAMES).unwrap_or_default().to_owned(),
        locale: own.one_of(["es-CL", "en"]).unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{cli::Wait, load::plan::Pace};

    /// A plan of a test.
    pub(in crate::load) fn plan(pace: Pace) -> Plan {
        Plan {
            run_id: "r".to_owned(),
            load_test_type: "peak".to_owned(),
            began_at: chrono::DateTime::UNIX_EPOCH,
            server: "http://127.0.0.1:1".to_owned(),
            timeout: Duration::from_secs(10),
            pace,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(10),
            mix: "place=1".parse().unwrap(),
            streams: None,
            wait: Wait::Logged,
            connections: 1,
            customers: 10,
            seed: 3,
        }
    }

    #[test]
    fn orders_follow_from_the_seed_and_are_varied() {
        let three = plan(Pace::Callers(1));
        let four = Plan { seed: 4, ..plan(Pace::Callers(1)) };
        assert_eq!(order(&three, 5), order(&three, 5));
        assert_ne!(order(&three, 5).details, order(&four, 5).details);
        assert_eq!(order(&three, 5).request_id, "r-5");
        let details: Vec<_> = (0..500).filter_map(|n| order(&three, n).details).collect();
        let of = |what: fn(&v1::OrderDetails) -> String| {
            details.iter().map(what).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(of(|details| details.region.clone()), REGIONS.len());
        assert_eq!(of(|details| details.currency_code.clone()), CURRENCIES.len());
        assert_eq!(of(|details| details.lines.len().to_string()), 4);
        assert_eq!(of(|d| d.customer.clone().unwrap().email), 10);
        assert_eq!(of(|d| d.customer.as_ref().map(|c| c.email.clone() + &c.name).unwrap()), 10);
        assert_eq!(of(|d| d.payment.clone().unwrap().gateway), GATEWAYS.len());
        assert!(details.iter().all(|details| details.labels["load_test_type"] == "peak"));
    }
}
