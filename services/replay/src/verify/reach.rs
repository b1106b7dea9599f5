//! How far the role `search` has come: what it has not read yet is not missing.
//!
//! The store says up to where changes are announced; what is announced stands in `orders.state-changed` by now; and what
//! the group has not read of that tells where the first event stands whose transition may not be written. In this order,
//! or something could slip in between.

use std::collections::BTreeMap;

use ports::{EventLog, Group, LogError, Offset, Partition, Position, Progress, Topic};

/// Per partition of `orders.events`: the transition of every recorded event below was appended. `progress` was read before.
pub(super) async fn reached(
    log: &dyn EventLog,
    progress: &[Progress],
) -> Result<BTreeMap<Partition, Offset>, LogError> {
    let topic = Topic::StateChanged;
    let ends = log.end_offsets(topic).await?;
    let starts = log.start_offsets(topic).await?;
    let places = log.group_offsets(topic, Group::Search).await?;
    let of = |all: &[Position], partition| {
        all.iter().find(|at| at.partition == partition).map_or(Offset::START, |at| at.offset)
    };
    let mut reached = BTreeMap::new();
    for Progress { partition, announced, .. } in progress.iter().copied() {
        let (place, end) = (of(&places, partition), of(&ends, partition));
        let is_known = place > Offset::START && place >= of(&starts, partition) && place <= end;
        // Changes that expired unread, or a topic that was made anew: what was not told is not known.
        let lowest = if is_known {
            Unread { partition, from: place, until: end }.lowest(log, announced).await?
        } else {
            Offset::START
        };
        reached.insert(partition, lowest);
    }
    Ok(reached)
}

/// Changes that the group has not read.
struct Unread {
    partition: Partition,
    from: Offset,
    until: Offset,
}

impl Unread {
    /// Where the first of their events stands, at most at `bound`. Changes may be told again and out of order.
    async fn lowest(self, log: &dyn EventLog, bound: Offset) -> Result<Offset, LogError> {
        let Self { partition, from, until } = self;
        let mut lowest = bound;
        if from >= until {
            return Ok(lowest);
        }
        let mut reader = log.read(Topic::StateChanged, partition, from, until).await?;
        loop {
            let records = reader.next().await?;
            if records.is_empty() || lowest == Offset::START {
                return Ok(lowest);
            }
            for record in records {
                let change = record.value.map(|value| codec::decode_state_change(&value));
                lowest = match change {
                    Some(Ok(change)) if change.position.partition == partition => {
                        lowest.min(change.position.offset)
                    }
                    // Of which event it tells is not known.
                    Some(Ok(_) | Err(_)) | None => Offset::START,
                };
            }
        }
    }
}
