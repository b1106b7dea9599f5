//! What was ordered, between the wire and the domain. The rules of a valid order are applied here, all of them, so
//! that a caller hears of every fault at once.

use std::num::NonZeroU32;

use events::{
    Currency, Customer, Email, Labels, Line, Locale, MAX_LABELS, MinorUnits, MoneyError,
    OrderDetails, Payment, Text,
};
use proto::v1;

use crate::Violations;

/// Parses what was ordered.
///
/// # Errors
/// Every fault, with paths relative to the message.
pub fn decode_details(details: &v1::OrderDetails) -> Result<OrderDetails, Violations> {
    let mut faults = Violations::default();
    let currency = faults.check("currency_code", currency(&details.currency_code));
    let lines = decode_lines(&details.lines, &mut faults);
    let customer = decode_customer(details.customer.as_ref(), &mut faults);
    let shipping_address = faults.check("shipping_address", Text::new(&details.shipping_address));
    let region = faults.check("region", Text::new(&details.region));
    let payment = decode_payment(details.payment.as_ref(), &mut faults);
    let labels = decode_labels(&details.labels, &mut faults);

    let whole = (|| {
        let (lines, labels) = (lines?, labels?);
        Some((currency?, lines, customer?, shipping_address?, region?, payment?, labels))
    })();
    match whole {
        Some((currency, lines, customer, address, region, payment, labels))
            if faults.is_empty() =>
        {
            OrderDetails::new(currency, lines, customer, address, region, payment, labels).map_err(
                |error| {
                    faults.add("lines", error);
                    faults
                },
            )
        }
        _ => Err(faults),
    }
}

pub(crate) fn currency(code: &str) -> Result<Currency, MoneyError> {
    Currency::from_code(code).ok_or(MoneyError::UnknownCurrency)
}

fn decode_lines(lines: &[v1::OrderLine], faults: &mut Violations) -> Option<Vec<Line>> {
    // An absurd number of lines is told once, not once a line.
    let looked_at = lines.get(..lines.len().min(events::MAX_LINES)).unwrap_or_default();
    let parsed: Vec<Option<Line>> = looked_at
        .iter()
        .enumerate()
        .map(|(index, line)| {
            // Paths are put together only for lines at fault.
            let mut of_line = Violations::default();
            let sku = of_line.check("sku", Text::new(&line.sku));
            let name = of_line.check("name", Text::new(&line.name));
            let quantity = NonZeroU32::new(line.quantity).ok_or("must be 1 or more");
            let quantity = of_line.check("quantity", quantity);
            let unit_price =
                of_line.check("unit_price_minor", MinorUnits::new(line.unit_price_minor));
            if !of_line.is_empty() {
                faults.nest(&format!("lines[{index}]"), of_line);
            }
            Some(Line { sku: sku?, name: name?, quantity: quantity?, unit_price: unit_price? })
        })
        .collect();
    if lines.len() > looked_at.len() {
        faults.add("lines", events::DetailsError::TooManyLines(lines.len()));
        return None;
    }
    let lines: Vec<Line> = parsed.into_iter().collect::<Option<_>>()?;
    faults.check("lines", OrderDetails::total_of(&lines))?;
    Some(lines)
}

fn decode_customer(customer: Option<&v1::Customer>, faults: &mut Violations) -> Option<Customer> {
    let Some(customer) = customer else {
        faults.add("customer", "must be given");
        return None;
    };
    let email = faults.check("customer.email", Email::new(&customer.email));
    let name = faults.check("customer.name", Text::optional(&customer.name));
    let locale = faults.check(
        "customer.locale",
        if customer.locale.is_empty() {
            Ok(None)
        } else {
            Locale::new(&customer.locale).map(Some).map_err(|error| match error {
                events::TextError::Control => "must be a language tag such as es-CL".to_owned(),
                other => other.to_string(),
            })
        },
    );
    Some(Customer { email: email?, name: name?, locale: locale? })
}

fn decode_payment(payment: Option<&v1::Payment>, faults: &mut Violations) -> Option<Payment> {
    let Some(payment) = payment else {
        faults.add("payment", "must be given");
        return None;
    };
    let gateway = faults.check("payment.gateway", Text::new(&payment.gateway));
    let card_brand = faults.check("payment.card_brand", Text::optional(&payment.card_brand));
    let bank = faults.check("payment.bank", Text::optional(&payment.bank));
    Some(Payment { gateway: gateway?, card_brand: card_brand?, bank: bank? })
}

fn decode_labels(
    labels: &std::collections::BTreeMap<String, String>,
    faults: &mut Violations,
) -> Option<Labels> {
    if labels.len() > MAX_LABELS {
        faults.add("labels", events::DetailsError::TooManyLabels(labels.len()));
        return None;
    }
    labels
        .iter()
        .map(|(key, value)| {
            let path = format!("labels[\"{}\"]", key.escape_debug());
            let key = faults.check(format!("{path} key"), Text::new(key));
            let value = faults.check(path, Text::new(value));
            Some((key?, value?))
        })
        .collect::<Vec<Option<_>>>()
        .into_iter()
        .collect()
}

/// As the wire has it.
#[must_use]
pub fn encode_details(details: &OrderDetails) -> v1::OrderDetails {
    v1::OrderDetails {
        currency_code: details.currency().code().to_owned(),
        lines: details
            .lines()
            .iter()
            .map(|line| v1::OrderLine {
                sku: line.sku.to_string(),
                name: line.name.to_string(),
                quantity: line.quantity.get(),
                unit_price_minor: line.unit_price.get(),
            })
            .collect(),
        customer: Some(v1::Customer {
            email: details.customer.email.to_string(),
            name: optional(details.customer.name.as_ref()),
            locale: details
                .customer
                .locale
                .as_ref()
                .map_or_else(String::new, |l| l.as_str().to_owned()),
        }),
        shipping_address: details.shipping_address.to_string(),
        region: details.region.to_string(),
        payment: Some(v1::Payment {
            gateway: details.payment.gateway.to_string(),
            card_brand: optional(details.payment.card_brand.as_ref()),
            bank: optional(details.payment.bank.as_ref()),
        }),
        labels: details
            .labels()
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
    }
}

pub(crate) fn optional<const MAX: usize>(text: Option<&Text<MAX>>) -> String {
    text.map_or_else(String::new, ToString::to_string)
}
