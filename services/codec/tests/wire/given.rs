//! Any valid value.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use codec::{StateChange, StateChangeOutcome};
use events::{
    Currency, Customer, Digest, Email, Event, EventBody, EventId, EventKind, Fingerprint, Labels,
    Line, LineProgress, Locale, MinorUnits, Money, Order, OrderDetails, OrderId, Parcel, Payment,
    Pieces, Recorded, Rejection, State, Text, TimeSpent, Version,
};
use ports::{Offset, Partition, Position};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};
use uuid::Uuid;

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> + Clone {
    let any = prop_oneof!["[a-z]{1,8}", "\\PC{1,12}", "[ -~\n\t]{1,30}"];
    any.prop_filter_map("blank", |text| Text::new(&text).ok())
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

/// From year 1 to 9999, to the microsecond.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_i64..253_402_300_800, 0..1_000_000_u32)
        .prop_map(|(second, micro)| DateTime::from_timestamp(second, micro * 1_000).unwrap())
}

fn currency() -> impl Strategy<Value = Currency> {
    select(vec![Currency::CLP, Currency::EUR, Currency::USD, Currency::KWD])
}

fn minor() -> impl Strategy<Value = MinorUnits> {
    prop_oneof![0..100_000_i64, 0..=i64::MAX].prop_map(|amount| MinorUnits::new(amount).unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    (minor(), currency()).prop_map(|(amount, currency)| Money { amount, currency })
}

fn parcel() -> impl Strategy<Value = Parcel> {
    (text(), text()).prop_map(|(carrier, tracking_number)| Parcel { carrier, tracking_number })
}

fn line() -> impl Strategy<Value = Line> {
    let price = prop_oneof![0..100_000_i64, 0..=(i64::MAX / 8 / i64::from(u32::MAX))];
    (text(), text(), 1..=u32::MAX, price).prop_map(|(sku, name, quantity, unit_price)| Line {
        sku,
        name,
        quantity: NonZeroU32::new(quantity).unwrap(),
        unit_price: MinorUnits::new(unit_price).unwrap(),
    })
}

fn customer() -> impl Strategy<Value = Customer> {
    let email = "[a-z]{1,8}(\\.[a-z]{1,8})?@[a-z]{1,8}\\.(com|cl)";
    let email = email.prop_map(|email| Email::new(&email).unwrap());
    let locale = "[a-zA-Z]{2}([-_][A-Za-z0-9]{2,4})?".prop_map(|tag| Locale::new(&tag).unwrap());
    (email, option::of(text()), option::of(locale)).prop_map(|(email, name, locale)| Customer {
        email,
        name,
        locale,
    })
}

pub(crate) fn details() -> impl Strategy<Value = OrderDetails> {
    let payment = (text(), option::of(text()), option::of(text()))
        .prop_map(|(gateway, card_brand, bank)| Payment { gateway, card_brand, bank });
    let labels = vec((text(), text()), 0..4).prop_map(|all| all.into_iter().collect::<Labels>());
    (currency(), vec(line(), 1..5), customer(), text(), text(), payment, labels).prop_map(
        |(currency, lines, customer, address, region, payment, labels)| {
            OrderDetails::new(currency, lines, customer, address, region, payment, labels).unwrap()
        },
    )
}

fn pieces() -> impl Strategy<Value = Pieces> {
    btree_map(1..=u32::MAX, 1..=u32::MAX, 0..4).prop_map(|lines| Pieces::new(lines).unwrap())
}

fn body() -> impl Strategy<Value = EventBody> {
    let bare =
        vec![EventBody::PreparationStarted, EventBody::OrderDelivered, EventBody::OrderCompleted];
    prop_oneof![
        4 => details().prop_map(|details| EventBody::OrderPlaced(Box::new(details))),
        2 => (money(), option::of(text()))
            .prop_map(|(amount, reference)| EventBody::PaymentCaptured { amount, reference }),
        2 => (money(), option::of(text()))
            .prop_flat_map(|(amount, reference)| {
                pieces().prop_map(move |pieces| EventBody::PaymentRefunded {
                    amount,
                    reference: reference.clone(),
                    pieces,
                })
            }),
        1 => option::of(text()).prop_map(|reason| EventBody::PaymentDeclined { reason }),
        1 => option::of(text()).prop_map(|reason| EventBody::DeliveryFailed { reason }),
        1 => option::of(text()).prop_map(|reason| EventBody::OrderCancelled { reason }),
        1 => (option::of(text()), pieces())
            .prop_map(|(reason, pieces)| EventBody::ReturnRequested { reason, pieces }),
        1 => pieces().prop_map(|pieces| EventBody::OrderReturned { pieces }),
        1 => (parcel(), pieces())
            .prop_map(|(parcel, pieces)| EventBody::OrderShipped { parcel, pieces }),
        2 => select(bare),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let version = option::of((1..=u64::MAX).prop_map(Version::new));
    (uuid(), uuid(), instant(), option::of(text()), version, body()).prop_map(
        |(id, order, at, actor, version, body)| {
            codec::new_event(EventId::new(id), OrderId::new(order), at, actor, version, body)
        },
    )
}

/// Any order that the fold could have made; not necessarily one that it would.
pub(crate) fn order() -> impl Strategy<Value = Order> {
    let sums = (0.0..=1.0, 0.0..=1.0);
    let recorded = (uuid(), any::<u64>()).prop_map(|(id, fingerprint)| Recorded {
        event_id: EventId::new(id),
        fingerprint: Fingerprint::new(fingerprint),
    });
    let times = (instant(), instant(), instant());
    (
        (uuid(), select(State::ALL.to_vec()), details(), sums, vec(recorded, 1..20)),
        (option::of(parcel()), option::of(text()), any::<u32>(), times),
    )
        .prop_map(|((id, state, details, (captured, refunded), recorded), rest)| {
            let (parcel, cancel_reason, anomalies, (placed_at, entered_at, updated_at)) = rest;
            let captured = part(details.total(), captured);
            let progress = if anomalies % 2 == 0 { Vec::new() } else { progress(&details) };
            Order {
                id: OrderId::new(id),
                version: Version::new(u64::try_from(recorded.len()).unwrap()),
                state,
                details: Box::new(details),
                captured,
                refunded: part(captured, refunded),
                parcel,
                progress,
                cancel_reason,
                anomalies,
                placed_at,
                entered_at,
                spent: spent(u64::from(anomalies)),
                updated_at,
                head: Digest::of(id.as_bytes()),
                recorded,
            }
        })
}

/// Some states, with less and less time in each.
fn spent(seed: u64) -> TimeSpent {
    let step = usize::try_from(seed % 4 + 1).unwrap();
    TimeSpent::new(State::ALL.into_iter().step_by(step).zip((0..seed).rev()))
}

/// Every line in another stage.
fn progress(details: &OrderDetails) -> Vec<LineProgress> {
    let stage = |(n, line): (usize, &Line)| {
        let quantity = line.quantity.get();
        let up_to = |stage| if n >= stage { quantity } else { quantity / 2 };
        LineProgress {
            shipped: quantity,
            return_requested: up_to(2),
            returned: up_to(2) / 2,
            refunded: up_to(1),
        }
    };
    details.lines().iter().enumerate().map(stage).collect()
}

/// About so much of an amount.
fn part(whole: MinorUnits, share: f64) -> MinorUnits {
    #[expect(clippy::cast_possible_truncation, reason = "about so much")]
    let percent = (share * 100.0) as i64;
    MinorUnits::new(whole.get() / 100 * percent).unwrap()
}

pub(crate) fn state_change() -> impl Strategy<Value = StateChange> {
    let outcome = prop_oneof![
        option::of(select(State::ALL.to_vec()))
            .prop_map(|from| StateChangeOutcome::Applied { from }),
        select(Rejection::ALL.to_vec()).prop_map(StateChangeOutcome::Rejected),
    ];
    let position = (any::<u32>(), 0..=i64::MAX).prop_map(|(partition, offset)| Position {
        partition: Partition(partition),
        offset: Offset(offset),
    });
    let kind = select(EventKind::ALL.to_vec());
    let times = (option::of(instant()), instant());
    (uuid(), kind, outcome, "\\PC{0,12}", times, position, order()).prop_map(
        |(id, kind, outcome, actor, (from_entered_at, occurred_at), position, order)| StateChange {
            event_id: EventId::new(id),
            kind,
            outcome,
            actor,
            from_entered_at,
            occurred_at,
            position,
            // A state change does not carry what was recorded.
            order: Order { recorded: Vec::new(), ..order },
        },
    )
}
