//! Says what can be served: asks log and store in turns, and tells gRPC's health service and the process.
//!
//! Placing an order needs the log alone; everything else needs the store too. While the log is away, nothing is
//! appended; calls that need the store are tried all the same, and answered `UNAVAILABLE` by themselves.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use ports::{EventLog, OrderStore, Partition, Reporter, Topic};
use proto::{
    seed::order_service_server::SERVICE_NAME as SEED,
    v1::order_ledger_server::SERVICE_NAME as LEDGER,
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::Parts;

/// The name that stands for the whole server.
const WHOLE: &str = "";
/// How long log and store may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Watches log and store.
pub(crate) struct Watch {
    log: Arc<dyn EventLog>,
    store: Arc<dyn OrderStore>,
    process: Reporter,
    grpc: HealthReporter,
    log_is_away: Arc<AtomicBool>,
    /// The partition that is asked first.
    answered: AtomicU32,
    check_every: Duration,
}

impl Watch {
    /// Nothing is served until the first check says so.
    pub(crate) async fn start(parts: &Parts, grpc: HealthReporter, check_every: Duration) -> Self {
        let watch = Self {
            log: Arc::clone(&parts.log),
            store: Arc::clone(&parts.store),
            process: parts.health.clone(),
            grpc,
            log_is_away: Arc::default(),
            answered: AtomicU32::default(),
            check_every,
        };
        watch.say(false, false).await;
        watch
    }

    /// Whether the log did not answer when it was last asked.
    pub(crate) fn log_is_away(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.log_is_away)
    }

    /// Checks until `stop`, then says that nothing is served any more.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let (mut log, mut store) = (Part::new("event log"), Part::new("order store"));
        loop {
            let checks = async { tokio::join!(self.check_log(), self.check_store()) };
            let (log_answer, store_answer) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                answers = checks => answers,
            };
            log.note(log_answer);
            store.note(store_answer);
            self.log_is_away.store(!log.works(), Ordering::Relaxed);
            self.say(log.works(), store.works()).await;
            match log.why().or_else(|| store.why()) {
                Some(why) => self.process.down(why),
                None => self.process.up(),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(self.check_every) => {}
            }
        }
        self.process.down("shutting down");
        self.say(false, false).await;
    }

    /// Ends the streams of those who watch the health, which would stay open for ever.
    pub(crate) async fn close(mut self) {
        for service in [WHOLE, LEDGER, SEED] {
            self.grpc.clear_service_status(service).await;
        }
    }

    /// One partition that answers is enough: an order of another, whose leader is away, is turned away by itself. To ask
    /// for an end asks a broker, where the count of partitions may be remembered.
    async fn check_log(&self) -> Result<(), String> {
        let ask = |partition| in_time(self.log.end_offset(Topic::Events, Partition(partition)));
        let answered = self.answered.load(Ordering::Relaxed);
        let Err(away) = ask(answered).await else { return Ok(()) };
        let partitions = in_time(self.log.partitions(Topic::Events)).await?;
        let mut others: FuturesUnordered<_> = (0..partitions)
            .filter(|partition| *partition != answered)
            .map(|partition| async move { ask(partition).await.map(|_| partition) })
            .collect();
        while let Some(answer) = others.next().await {
            if let Ok(partition) = answer {
                self.answered.store(partition, Ordering::Relaxed);
                return Ok(());
            }
        }
        Err(away)
    }

    async fn check_store(&self) -> Result<(), String> {
        let progress = in_time(self.store.progress(&[Partition(0)])).await?;
        if progress.is_empty() { Err("the store is not prepared yet".to_owned()) } else { Ok(()) }
    }

    async fn say(&self, log: bool, store: bool) {
        for (service, serves) in [(WHOLE, log && store), (LEDGER, log && store), (SEED, log)] {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            self.grpc.set_service_status(service, status).await;
        }
    }
}

async fn in_time<T, E: Display>(answer: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {ANSWER_MAX:?}")),
    }
}

/// One thing that works or not; each change is logged once.
struct Part {
    name: &'static str,
    state: State,
}

enum State {
    NotAsked,
    Works,
    Away(String),
}

impl Part {
    const fn new(name: &'static str) -> Self {
        Self { name, state: State::NotAsked }
    }

    const fn works(&self) -> bool {
        matches!(self.state, State::Works)
    }

    /// Why it does not work.
    fn why(&self) -> Option<String> {
        match &self.state {
            State::NotAsked => Some(format!("{}: not asked yet", self.name)),
            State::Works => None,
            State::Away(why) => Some(format!("{}: {why}", self.name)),
        }
    }

    fn note(&mut self, answer: Result<(), String>) {
        match (&self.state, &answer) {
            (State::Works | State::NotAsked, Err(error)) => {
                tracing::warn!(part = self.name, error, "does not answer; asking until it does");
            }
            (State::Away(_), Ok(())) => tracing::info!(part = self.name, "works again"),
            (State::Works | State::NotAsked, Ok(())) | (State::Away(_), Err(_)) => {}
        }
        self.state = answer.map_or_else(State::Away, |()| State::Works);
    }
}
