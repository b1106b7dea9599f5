//! What another fold would change, in words and as JSON.

use std::io::{self, Write as _};

use ports::HistoryOutcome;
use replay::{Diff, EXAMPLES_MAX, Example, Parting, Standing, diff};
use serde_json::{Value, json};

use crate::{Failure, cli::Output, parts::Parts};

/// Compares a generation with the live one, and prints what there is to say.
pub(super) async fn tell(parts: &Parts, generation: u32, output: Output) -> Result<(), Failure> {
    let new = parts.generations.open(generation).await?;
    let found = diff(parts.orders.as_ref(), new.as_ref(), &mail_of).await?;
    let text = match output {
        Output::Human => told(&found),
        Output::Json => as_json(&found).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

fn mail_of(outcome: &HistoryOutcome) -> Option<&'static str> {
    match *outcome {
        HistoryOutcome::Applied { from, to } => mailer::mail_about(from, to),
        HistoryOutcome::Rejected { .. }
        | HistoryOutcome::Duplicate { .. }
        | HistoryOutcome::Parked { .. } => None,
    }
}

fn told(found: &Diff) -> String {
    let Diff { records, orders, ends_otherwise, would_send, would_not_send, otherwise, .. } = found;
    let mut lines = vec![format!(
        "{ends_otherwise} of {orders} orders would end in another state or with other sums ({records} records compared)"
    )];
    for ((was, is), count) in &found.states {
        let name = |state: &Option<_>| state.map_or("none", events::State::name);
        lines.push(format!("  {count}: {} -> {}", name(was), name(is)));
    }
    for ((kind, reason), count) in &found.now_rejected {
        lines.push(format!("{count} {kind} were applied and would be rejected: {reason}"));
    }
    for ((kind, reason), count) in &found.now_applied {
        lines.push(format!("{count} {kind} were rejected ({reason}) and would be applied"));
    }
    if *otherwise > 0 {
        lines.push(format!("{otherwise} records would become something else in another way"));
    }
    lines.push(format!("mails: would send {would_send}, would not send {would_not_send}"));
    lines.extend(found.examples.iter().map(example));
    if *ends_otherwise > u64::try_from(EXAMPLES_MAX).unwrap_or(u64::MAX) {
        lines.push("and more".to_owned());
    }
    lines.join("\n")
}

fn example(example: &Example) -> String {
    let Example { order_id, live, new, parts_at } = example;
    let standing = |standing: &Option<Standing>| match standing {
        None => "none".to_owned(),
        Some(Standing { state, sums: None }) => state.name().to_owned(),
        Some(Standing { state, sums: Some(sums) }) => {
            let [total, captured, refunded] = sums.map(events::MinorUnits::get);
            format!("{} (total {total}, captured {captured}, refunded {refunded})", state.name())
        }
    };
    let parts =
        parts_at.as_ref().map_or_else(String::new, |Parting { position, kind, live, new }| {
            let name = |outcome: &Option<HistoryOutcome>| {
                outcome.as_ref().map_or("unreadable", HistoryOutcome::name)
            };
            let (partition, offset) = (position.partition, position.offset);
            format!("; they part at {partition}/{offset}, {kind}: {} -> {}", name(live), name(new))
        });
    format!("order {order_id}: {} -> {}{parts}", standing(live), standing(new))
}

fn as_json(found: &Diff) -> Value {
    let flips = |flips: &std::collections::BTreeMap<_, u64>| -> Value {
        let flip = |((kind, reason), count): (&(events::EventKind, events::Rejection), &u64)| json!({ "event": kind.name(), "reason": reason.name(), "count": count });
        flips.iter().map(flip).collect()
    };
    let states = found.states.iter().map(|((was, is), count)| {
        json!({ "live": was.map(events::State::name), "new": is.map(events::State::name), "count": count })
    });
    json!({ "diff": {
        "records": found.records,
        "orders": found.orders,
        "ends_otherwise": found.ends_otherwise,
        "states": states.collect::<Value>(),
        "now_rejected": flips(&found.now_rejected),
        "now_applied": flips(&found.now_applied),
        "otherwise": found.otherwise,
        "would_send": found.would_send,
        "would_not_send": found.would_not_send,
        "examples": found.examples.iter().map(example_json).collect::<Value>(),
    }})
}

fn example_json(example: &Example) -> Value {
    let standing = |standing: &Option<Standing>| {
        standing.map(|Standing { state, sums }| {
            let sums = sums.map(|sums| sums.map(events::MinorUnits::get));
            let [total, captured, refunded] = sums.map_or([None; 3], |sums| sums.map(Some));
            json!({
                "state": state.name(),
                "total_minor": total,
                "captured_minor": captured,
                "refunded_minor": refunded,
            })
        })
    };
    let outcome = |outcome: &Option<HistoryOutcome>| outcome.as_ref().map(HistoryOutcome::name);
    let parts_at = example.parts_at.as_ref().map(|Parting { position, kind, live, new }| {
        json!({
            "partition": position.partition.0,
            "offset": position.offset.0,
            "event": kind.name(),
            "live": outcome(live),
            "new": outcome(new),
        })
    });
    json!({
        "order_id": example.order_id.to_string(),
        "live": standing(&example.live),
        "new": standing(&example.new),
        "parts_at": parts_at,
    })
}
