//! The rebalance: partitions given to a member and taken away from it, one change at a time.
//!
//! librdkafka announces a change from within a poll and waits until it is carried out. The announcement is only noted
//! there ([`Membership`]); the member's thread carries it out step by step ([`Change`]), and polls in between, so that
//! neither a slow store nor a slow subscriber makes the group think that the member is dead.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ports::{Group, LogError, Offset, Partition, Position, Revoked, SubscriptionEvent, Topic};
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::{
    client,
    error::{lock, unavailable},
    mailbox::Letter,
    member::Member,
};

/// What the group decided about this member.
pub(crate) enum Rebalance {
    Assign(Vec<Partition>),
    Revoke(Vec<Partition>),
}

/// The consumer's context: notes rebalances for the member's thread.
pub(crate) struct Membership {
    group: Group,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The member leaves: changes are agreed to at once.
    leaving: AtomicBool,
}

impl Membership {
    pub(crate) fn new(group: Group) -> Self {
        Self { group, rebalances: Mutex::default(), leaving: AtomicBool::new(false) }
    }

    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    fn next(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        client::measure_lag(self.group.name(), &statistics);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let given = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            // Whatever is given now is taken away again by leaving.
            let agreed = if given {
                consumer.incremental_assign(list)
            } else {
                consumer.incremental_unassign(list)
            };
            if let Err(error) = agreed {
                tracing::debug!(%error, "a rebalance came too late");
            }
            return;
        }
        let partitions = list
            .elements()
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok().map(Partition))
            .collect();
        lock(&self.rebalances).push_back(if given {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        });
    }
}

/// Where to start in a partition; `None` is the start of the log.
pub(crate) type Place = (Partition, Option<Offset>);

/// A rebalance that is being carried out.
pub(crate) enum Change {
    /// The group's own places are to be asked for.
    Locating(Vec<Partition>),
    /// Whoever keeps the places was asked.
    Asking(Vec<Partition>),
    /// The places are known; they are checked against the log, since then.
    Placing(Vec<Place>, Instant),
    /// The subscriber was told to let go, until then at most.
    LettingGo { partitions: Vec<Partition>, done: oneshot::Receiver<()>, until: Instant },
}

/// A place that the log does not hold.
struct Misplaced {
    why: String,
    /// Whether it may be held in a moment: a new leader learns the end of its partition only then.
    may_settle: bool,
}

/// How long the subscriber may take to let go, as the port says.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

/// How long a new leader may take to learn where its partition ends.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// How long a question to the cluster may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Member {
    /// Carries the change at hand a step further, or takes up the next one.
    pub(crate) fn rebalance(&mut self) -> Result<(), LogError> {
        let change = match self.change.take() {
            Some(change) => Some(change),
            None => match self.consumer.context().next() {
                Some(Rebalance::Assign(partitions)) => self.given(partitions),
                Some(Rebalance::Revoke(partitions)) => self.taken(partitions),
                None => None,
            },
        };
        if let Some(change) = change {
            self.change = self.step(change)?;
        }
        Ok(())
    }

    /// Agrees at once to whatever is at hand and whatever is still to come: a consumer closes only after that.
    pub(crate) fn agree_to_all(&mut self) {
        self.consumer.context().leave();
        let at_hand = self.change.take().map(|change| match change {
            Change::Locating(partitions) | Change::Asking(partitions) => {
                Rebalance::Assign(partitions)
            }
            Change::Placing(places, _) => {
                Rebalance::Assign(places.into_iter().map(|(partition, _)| partition).collect())
            }
            Change::LettingGo { partitions, .. } => Rebalance::Revoke(partitions),
        });
        let noted = std::iter::from_fn(|| self.consumer.context().next());
        for rebalance in at_hand.into_iter().chain(noted) {
            let agreed = match rebalance {
                Rebalance::Assign(partitions) => {
                    self.consumer.incremental_assign(&self.list(&partitions))
                }
                Rebalance::Revoke(partitions) => {
                    self.consumer.incremental_unassign(&self.list(&partitions))
                }
            };
            if let Err(error) = agreed {
                tracing::debug!(%error, "a rebalance came too late");
            }
        }
    }

    /// Whether records of this partition are not handed over any more.
    pub(crate) fn is_leaving(&self, partition: Partition) -> bool {
        matches!(&self.change, Some(Change::LettingGo { partitions, .. }) if partitions.contains(&partition))
    }

    fn given(&mut self, partitions: Vec<Partition>) -> Option<Change> {
        metrics::counter!("order_ledger_log_rebalances_total", "group" => self.group.name())
            .increment(1);
        if partitions.is_empty() {
            return Some(Change::Placing(Vec::new(), Instant::now()));
        }
        Some(if self.asks {
            self.mailbox.push(Letter::Ask(partitions.clone()));
            Change::Asking(partitions)
        } else {
            Change::Locating(partitions)
        })
    }

    fn taken(&mut self, partitions: Vec<Partition>) -> Option<Change> {
        let (told, done) = oneshot::channel();
        if !partitions.is_empty() {
            self.mailbox.withdraw(&partitions);
            self.pause(&partitions);
            let revoked = Revoked::new(partitions.clone(), told);
            self.mailbox.push(Letter::Event(SubscriptionEvent::Revoked(revoked)));
        }
        Some(Change::LettingGo { partitions, done, until: Instant::now() + LET_GO_WITHIN })
    }

    /// What is left of the change after this step; `None` if it is done.
    fn step(&mut self, change: Change) -> Result<Option<Change>, LogError> {
        match change {
            Change::Locating(partitions) => match self.committed(&partitions) {
                Ok(places) => self.place(places, Instant::now()),
                Err(error) => {
                    self.complain(&unavailable("read the group's offsets", &error).to_string());
                    Ok(Some(Change::Locating(partitions)))
                }
            },
            Change::Asking(partitions) => match self.mailbox.take_answer(&partitions) {
                Some(answer) => {
                    let place = |partition| {
                        let known = answer.iter().find(|position| position.partition == partition);
                        (partition, known.map(|position| position.offset))
                    };
                    self.place(partitions.into_iter().map(place).collect(), Instant::now())
                }
                None => Ok(Some(Change::Asking(partitions))),
            },
            Change::Placing(places, since) => self.place(places, since),
            Change::LettingGo { partitions, mut done, until } => {
                let waits = matches!(done.try_recv(), Err(TryRecvError::Empty));
                if waits && Instant::now() < until {
                    return Ok(Some(Change::LettingGo { partitions, done, until }));
                }
                if waits {
                    tracing::warn!(
                        group = self.group.name(),
                        ?partitions,
                        "partitions were not let go in time: handed over all the same"
                    );
                }
                self.mailbox.let_go(&partitions);
                client::forget_lag(self.group.name(), &partitions);
                let list = self.list(&partitions);
                self.done(self.consumer.incremental_unassign(&list));
                Ok(None)
            }
        }
    }

    /// Starts to read, unless the log does not hold a place; `since` is when that was first looked at.
    fn place(&mut self, places: Vec<Place>, since: Instant) -> Result<Option<Change>, LogError> {
        match self.misplaced(&places) {
            Err(error) => {
                self.complain(&error.to_string());
                return Ok(Some(Change::Placing(places, since)));
            }
            Ok(Some(Misplaced { why, may_settle: true })) if since.elapsed() < SETTLE_WITHIN => {
                self.complain(&why);
                return Ok(Some(Change::Placing(places, since)));
            }
            Ok(Some(Misplaced { why, .. })) => return Err(LogError::Unfit(why)),
            Ok(None) => {}
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (partition, offset) in &places {
            let start = offset
                .map_or(rdkafka::Offset::Beginning, |offset| rdkafka::Offset::Offset(offset.0));
            list.add_partition_offset(&self.topic_name, native(*partition), start)
                .map_err(|error| LogError::Unfit(format!("no place to read from: {error}")))?;
        }
        let partitions: Vec<_> = places.iter().map(|(partition, _)| *partition).collect();
        // Held before the first record can come.
        self.mailbox.hold(&partitions);
        if !self.done(self.consumer.incremental_assign(&list)) {
            self.mailbox.let_go(&partitions);
            return Ok(None);
        }
        if self.paused {
            self.pause(&partitions);
        } else {
            self.resume(&partitions);
        }
        if !places.is_empty() {
            let position = |(partition, offset): (Partition, Option<Offset>)| Position {
                partition,
                offset: offset.unwrap_or(Offset::START),
            };
            let positions = places.into_iter().map(position).collect();
            self.mailbox.push(Letter::Event(SubscriptionEvent::Assigned(positions)));
        }
        Ok(None)
    }

    /// The places that the group committed.
    fn committed(&self, partitions: &[Partition]) -> KafkaResult<Vec<Place>> {
        places(&self.consumer.committed_offsets(self.list(partitions), ANSWER_WITHIN)?)
    }

    /// Why reading the truth from these places would skip or invent a part of it, if it would. What is derived may
    /// expire: there librdkafka goes on with the oldest record.
    fn misplaced(&self, places: &[Place]) -> Result<Option<Misplaced>, LogError> {
        if self.topic != Topic::Events {
            return Ok(None);
        }
        for (partition, offset) in places {
            let (low, high) = self
                .consumer
                .fetch_watermarks(&self.topic_name, native(*partition), ANSWER_WITHIN)
                .map_err(|error| unavailable("ask for the bounds of a partition", &error))?;
            let from = offset.map_or(0, |offset| offset.0);
            if from < low || from > high {
                let why = format!(
                    "{} partition {partition} holds the offsets {low} to {high}, but reading has to go on at {from}: \
                     a part of the history is gone, or the topic was made anew; restore it, or rebuild the state from \
                     what there is",
                    self.topic_name
                );
                return Ok(Some(Misplaced { why, may_settle: from > high }));
            }
        }
        Ok(None)
    }

    /// Whether librdkafka took the change. It may have lost the partitions meanwhile; then the next change follows.
    fn done(&self, result: KafkaResult<()>) -> bool {
        if let Err(error) = &result {
            tracing::warn!(group = self.group.name(), %error, "a rebalance was overtaken by another");
        }
        result.is_ok()
    }

    pub(crate) fn list(&self, partitions: &[Partition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic_name, native(*partition));
        }
        list
    }
}

/// The places that a cluster told of.
pub(crate) fn places(told: &TopicPartitionList) -> KafkaResult<Vec<Place>> {
    let mut places = Vec::with_capacity(told.count());
    for element in told.elements() {
        element.error()?;
        let offset = match element.offset() {
            rdkafka::Offset::Offset(offset) => Some(Offset(offset)),
            _ => None,
        };
        places.extend(u32::try_from(element.partition()).map(|p| (Partition(p), offset)));
    }
    Ok(places)
}

/// A partition as librdkafka counts them.
pub(crate) fn native(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}
