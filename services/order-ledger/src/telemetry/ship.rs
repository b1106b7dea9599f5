//! Ships what this process measured to the stream of metrics, once an interval. Never in the way of an order: a stream that
//! is away gets the last few intervals when it is back, and one that can't take metrics gets none.

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use metrics::Counter;
use ports::{
    Clock, Consumer, IndexOutcome, MailFields, Measures, MetricDocument, MetricOf, MetricStream,
    SearchError, Taken, Told,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::seen::{Seen, Waiting};

/// Intervals that wait for a stream that is away; an older one is dropped.
const WAITING_MAX: usize = 6;

/// How long one round of shipping may take.
const SHIP_MAX: Duration = Duration::from_secs(10);

/// How much longer it may take once the process ends.
const LAST_MAX: Duration = Duration::from_secs(2);

/// What there is to ship, and where to.
pub(crate) struct Shipping {
    stream: Arc<dyn MetricStream>,
    clock: Arc<dyn Clock>,
    measures: Measures,
    seen: Seen,
    node: String,
    every: Duration,
    began: Instant,
    /// Mails sent and given up that no document tells of yet.
    mails: (u64, u64),
    /// What was last known to wait for the mailer.
    mailer: Option<Waiting>,
    /// The documents of each interval that is not shipped yet, oldest first.
    waiting: VecDeque<Vec<MetricDocument>>,
    is_prepared: bool,
    /// Whether the last round failed: said once, until one works again.
    is_failing: bool,
}

impl Shipping {
    /// Ships under the name of this process.
    pub(crate) fn new(
        stream: Arc<dyn MetricStream>,
        clock: Arc<dyn Clock>,
        measures: Measures,
        seen: Seen,
        every: Duration,
    ) -> Self {
        for outcome in ["indexed", "stale", "refused", "dropped"] {
            documents(outcome).increment(0);
        }
        Self {
            stream,
            clock,
            measures,
            seen,
            node: node(),
            every,
            began: Instant::now(),
            mails: (0, 0),
            mailer: None,
            waiting: VecDeque::new(),
            is_prepared: false,
            is_failing: false,
        }
    }

    /// Ships until `stop`, and then what came together since the last time.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let is_last = stop.run_until_cancelled(sleep(self.every)).await.is_none();
            self.collect();
            match self.ship_in_time(&stop).await {
                Ok(()) => self.is_failing = false,
                Err(SearchError::Unfit(why)) if !self.is_prepared => {
                    tracing::warn!(why, "metrics are not kept: the search part can't take them");
                    self.drop_all();
                    self.measures.turn_off();
                    return;
                }
                Err(error) => self.failed(&error),
            }
            if is_last {
                self.drop_all();
                return;
            }
        }
    }

    /// Makes documents of what came together.
    fn collect(&mut self) {
        let lasted = mem::replace(&mut self.began, Instant::now()).elapsed();
        let taken = self.measures.take();
        let node = self.node.clone();
        let version = env!("CARGO_PKG_VERSION");
        let told = Told { node: &node, version, until: self.clock.now(), lasted };
        let mut documents = taken.documents(told);
        documents.extend(self.stores(told, &taken));
        if documents.is_empty() {
            return;
        }
        self.waiting.push_back(documents);
        if self.waiting.len() > WAITING_MAX {
            self.drop_oldest();
        }
    }

    /// Of what was found in the stores since the last time.
    fn stores(&mut self, told: Told<'_>, taken: &Taken) -> Vec<MetricDocument> {
        let (sent, failed) = &mut self.mails;
        *sent += taken.mails_sent;
        *failed += taken.mails_failed;
        let mut found = self.seen.take();
        if let Some(mailer) = self.mailer.filter(|_| self.mails != (0, 0)) {
            // Mails are told of at once, however long ago somebody looked into the store.
            found.waiting.entry(Consumer::Mailer).or_insert(mailer);
        }
        self.mailer = found.waiting.get(&Consumer::Mailer).copied().or(self.mailer);
        let lags = found.lags.into_iter().map(|(partition, lag)| {
            let (lag_records, lag_seconds) = (lag.records, lag.seconds);
            let partition = partition.0;
            told.document("partition", MetricOf::Lag { partition, lag_records, lag_seconds })
        });
        let mails = &mut self.mails;
        let waiting = found.waiting.into_iter().map(|(consumer, waiting)| {
            let mails = waiting.mails_pending.map(|mails_pending| {
                let (mails_sent, mails_failed) = mem::take(mails);
                MailFields { mails_pending, mails_failed, mails_sent }
            });
            let (consumer, dead_letters_open) = (consumer.name(), waiting.dead_letters_open);
            let of = MetricOf::Waiting { consumer, dead_letters_open, mails };
            told.document("consumers", of)
        });
        lags.chain(waiting).collect()
    }

    async fn ship_in_time(&mut self, stop: &CancellationToken) -> Result<(), SearchError> {
        let last = async {
            stop.cancelled().await;
            sleep(LAST_MAX).await;
        };
        let late = async {
            tokio::select! {
                () = sleep(SHIP_MAX) => {}
                () = last => {}
            }
        };
        // A request that is given up may have been carried out: its documents keep their ids, and are there once.
        tokio::select! {
            biased;
            shipped = self.ship() => shipped,
            () = late => Err(SearchError::Unavailable("it did not answer in time".to_owned())),
        }
    }

    async fn ship(&mut self) -> Result<(), SearchError> {
        if !self.is_prepared {
            self.stream.prepare().await?;
            self.is_prepared = true;
        }
        while let Some(interval) = self.waiting.front() {
            for outcome in self.stream.append(interval).await? {
                match outcome {
                    IndexOutcome::Indexed => documents("indexed").increment(1),
                    IndexOutcome::Stale => documents("stale").increment(1),
                    IndexOutcome::Refused(why) => {
                        tracing::warn!(why, "a document of metrics was refused");
                        documents("refused").increment(1);
                    }
                }
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn failed(&mut self, error: &SearchError) {
        if !self.is_failing {
            tracing::warn!(%error, "metrics wait for the search part");
        }
        self.is_failing = true;
        if matches!(error, SearchError::Unfit(_)) {
            // Someone may have removed the stream: it is made again, if that can be.
            self.is_prepared = false;
        }
    }

    fn drop_oldest(&mut self) {
        let dropped = self.waiting.pop_front().map_or(0, |interval| interval.len());
        documents("dropped").increment(u64::try_from(dropped).unwrap_or(u64::MAX));
    }

    fn drop_all(&mut self) {
        while !self.waiting.is_empty() {
            self.drop_oldest();
        }
    }
}

fn documents(outcome: &'static str) -> Counter {
    metrics::counter!("order_ledger_metric_documents_total", "outcome" => outcome)
}

/// Host and process: another process, at the same time or later, is another node.
fn node() -> String {
    let host = rustix::system::uname();
    format!("{}-{}", host.nodename().to_string_lossy(), std::process::id())
}

#[cfg(test)]
#[path = "ship_tests.rs"]
mod tests;
