//! Looking into a generation: time travel, if it was built up to some place or instant of the past.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use events::{OrderId, State};
use ports::{Generation, OrderFilter, OrderStore, Position, Stage, StoreError, StoredSnapshot};
use proto::v1;
use serde_json::json;

use super::{offsets_json, offsets_text};
use crate::{
    Failure,
    cli::{Output, ShowArgs},
    client::Out,
    parts::Parts,
    table::{self, money, table},
};

/// Orders read at a time.
const PAGE: usize = 1_000;

pub(super) async fn run(parts: &Parts, args: &ShowArgs) -> Result<ExitCode, Failure> {
    let generation = find(parts, args.generation).await?;
    let store = open(parts, &generation).await?;
    if let Some(order_id) = args.order_id {
        one(store.as_ref(), order_id, args).await?;
    } else if args.states.is_empty() {
        all(store.as_ref(), &generation, args.output).await?;
    } else {
        of_states(store.as_ref(), args).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(parts: &Parts, number: u32) -> Result<Generation, Failure> {
    let mut all = parts.generations.generations().await?.into_iter();
    let found = all.find(|generation| generation.number == number);
    found.ok_or_else(|| {
        format!("there is no generation {number}: see `order-ledger replay status`").into()
    })
}

async fn open(parts: &Parts, generation: &Generation) -> Result<Arc<dyn OrderStore>, Failure> {
    let number = generation.number;
    match generation.stage {
        Stage::Live => Ok(Arc::clone(&parts.orders)),
        Stage::Loading => Err(format!(
            "generation {number} is not loaded yet: `order-ledger replay status` says how far it is"
        )
        .into()),
        Stage::Ready | Stage::Retired => match parts.generations.open(number).await {
            Ok(store) => Ok(Arc::from(store as Box<dyn OrderStore>)),
            Err(StoreError::OtherFold { stored }) => Err(format!(
                "generation {number} was made by version {stored} of the fold: only a program of that version reads it"
            )
            .into()),
            Err(error) => Err(error.into()),
        },
    }
}

/// One order as it is there, or its history.
async fn one(store: &dyn OrderStore, order_id: OrderId, args: &ShowArgs) -> Result<(), Failure> {
    let out = Out::new(args.output)?;
    if args.history {
        let rows = store.history(order_id).await?;
        let entries = rows.iter().map(codec::history_to_proto).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(unknown(order_id, args.generation));
        }
        let answer = v1::GetOrderHistoryResponse { entries, next_page_token: String::new() };
        return Ok(out.show(&answer, |answer| table::history(&answer.entries).to_string())?);
    }
    let stored = store.load(&[order_id]).await?;
    let stored = stored.first().ok_or_else(|| unknown(order_id, args.generation))?;
    let order = codec::order_of_snapshot(&stored.bytes)?;
    let answer = v1::GetOrderResponse { order: Some(order) };
    Ok(out.show(&answer, |answer| {
        answer.order.as_ref().map_or_else(String::new, |order| table::order(order).to_string())
    })?)
}

fn unknown(order_id: OrderId, generation: u32) -> Failure {
    format!("generation {generation} has no order {order_id}").into()
}

/// Orders of some states.
async fn of_states(store: &dyn OrderStore, args: &ShowArgs) -> Result<(), Failure> {
    let filter = OrderFilter { states: args.states.clone(), ..OrderFilter::default() };
    let listed = store.list(&filter, None, args.limit).await?;
    let orders = listed.iter().map(|stored| codec::order_of_snapshot(&stored.bytes));
    let orders = orders.collect::<Result<Vec<_>, _>>()?;
    let answer = v1::ListOrdersResponse { orders, next_page_token: String::new() };
    Ok(Out::new(args.output)?.show(&answer, |answer| table::orders(&answer.orders).to_string())?)
}

/// What a generation holds in all.
#[derive(Default)]
struct Sums {
    states: BTreeMap<State, u64>,
    currencies: BTreeMap<String, Sum>,
}

#[derive(Default)]
struct Sum {
    orders: u64,
    total: i64,
    captured: i64,
    refunded: i64,
}

impl Sums {
    async fn of(store: &dyn OrderStore) -> Result<Self, Failure> {
        let mut sums = Self::default();
        let mut after = None;
        loop {
            let page = store.scan(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(sums) };
            after = Some(last.order_id);
            for stored in &page {
                sums.add(stored)?;
            }
        }
    }

    fn add(&mut self, stored: &StoredSnapshot) -> Result<(), Failure> {
        let order = codec::order_of_snapshot(&stored.bytes)?;
        let state = codec::state_from_proto(order.state);
        let state = state.ok_or_else(|| format!("order {} has no state", order.order_id))?;
        *self.states.entry(state).or_default() += 1;
        let currency = order.details.unwrap_or_default().currency_code;
        let sum = self.currencies.entry(currency).or_default();
        sum.orders += 1;
        sum.total = sum.total.saturating_add(order.total_minor);
        sum.captured = sum.captured.saturating_add(order.captured_minor);
        sum.refunded = sum.refunded.saturating_add(order.refunded_minor);
        Ok(())
    }
}

async fn all(
    store: &dyn OrderStore,
    generation: &Generation,
    output: Output,
) -> Result<(), Failure> {
    let progress = store.progress(&[]).await?.into_iter();
    let at = |p: ports::Progress| Position { partition: p.partition, offset: p.next };
    let offsets: Vec<_> = progress.map(at).collect();
    let sums = Sums::of(store).await?;
    let text = match output {
        Output::Human => told(generation, &offsets, &sums),
        Output::Json => as_json(generation, &offsets, &sums).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

fn told(generation: &Generation, offsets: &[Position], sums: &Sums) -> String {
    let mut states = table(["state", "orders"]);
    for (state, orders) in &sums.states {
        states.add_row([state.name().to_owned(), orders.to_string()]);
    }
    let mut currencies = table(["currency", "orders", "total", "captured", "refunded"]);
    for (currency, sum) in &sums.currencies {
        currencies.add_row([
            currency.clone(),
            sum.orders.to_string(),
            money(currency, sum.total),
            money(currency, sum.captured),
            money(currency, sum.refunded),
        ]);
    }
    let Generation { number, stage, .. } = generation;
    let at = offsets_text(offsets);
    format!("generation {number}, {}, at {at}\n{states}\n{currencies}", stage.name())
}

fn as_json(generation: &Generation, offsets: &[Position], sums: &Sums) -> serde_json::Value {
    let states: serde_json::Map<_, _> = sums
        .states
        .iter()
        .map(|(state, orders)| (state.name().to_owned(), json!(orders)))
        .collect();
    let sum = |(currency, sum): (&String, &Sum)| {
        json!({
            "currency": currency,
            "orders": sum.orders,
            "total_minor": sum.total,
            "captured_minor": sum.captured,
            "refunded_minor": sum.refunded,
        })
    };
    json!({
        "generation": generation.number,
        "stage": generation.stage.name(),
        "offsets": offsets_json(offsets),
        "states": states,
        "sums": sums.currencies.iter().map(sum).collect::<Vec<_>>(),
    })
}
