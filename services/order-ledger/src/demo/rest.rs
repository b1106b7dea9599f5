//! Whether everything that follows from the orders has happened.

use std::collections::BTreeSet;

use events::{OrderId, State};
use ports::{LogError, Offset, Progress, Topic};

use crate::{Failure, parts::Parts};

/// What is still to come; `None` once nothing is.
pub(crate) async fn missing(parts: &Parts, placed: &[OrderId]) -> Result<Option<String>, Failure> {
    for Progress { partition, next, announced, .. } in parts.orders.progress(&[]).await? {
        let end = parts.log.end_offset(Topic::Events, partition).await?;
        if announced < next || next < end {
            return Ok(Some(format!(
                "partition {partition} is not folded and announced to its end"
            )));
        }
    }
    let snapshots = parts.orders.load(placed).await?;
    let through = snapshots
        .iter()
        .filter_map(|stored| codec::decode_snapshot(&stored.bytes).ok())
        .filter(|order| matches!(order.state, State::Completed | State::Cancelled))
        .count();
    if through < placed.len() {
        return Ok(Some(format!("{} orders are on their way", placed.len() - through)));
    }
    let timers = parts.timers.count().await?;
    if timers > 0 {
        return Ok(Some(format!("{timers} timers are set")));
    }
    let expected = mails_expected(parts).await?;
    let (pending, sent, failed) = parts.deliveries.counts().await?;
    if pending > 0 || sent + failed < expected {
        let waiting = expected.saturating_sub(sent + failed);
        return Ok(Some(format!("{waiting} mails are to be sent")));
    }
    let indexed = parts.search.versions(placed).await?;
    let stale = snapshots
        .iter()
        .filter_map(|stored| codec::decode_snapshot(&stored.bytes).ok())
        .filter(|order| indexed.get(&order.id) != Some(&order.version.get()))
        .count();
    if stale > 0 {
        return Ok(Some(format!("{stale} orders are to be indexed")));
    }
    Ok(None)
}

/// How many mails the state changes so far ask for.
pub(crate) async fn mails_expected(parts: &Parts) -> Result<u64, LogError> {
    let mut mails = BTreeSet::new();
    for end in parts.log.end_offsets(Topic::StateChanged).await? {
        let (partition, until) = (end.partition, end.offset);
        let mut reader =
            parts.log.read(Topic::StateChanged, partition, Offset::START, until).await?;
        loop {
            let records = reader.next().await?;
            if records.is_empty() {
                break;
            }
            // A change may have been announced twice; it is one mail all the same.
            mails.extend(
                records
                    .iter()
                    .filter_map(|record| codec::decode_state_change(record.value.as_deref()?).ok())
                    .filter(|change| mailer::message_id(change).is_some())
                    .map(|change| (change.order.id, change.order.version)),
            );
        }
    }
    Ok(u64::try_from(mails.len()).unwrap_or(u64::MAX))
}
