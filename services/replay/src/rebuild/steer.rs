//! How far a replay is, for whoever watches; and what they want of it.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use ports::{Generations, Offset, Partition, Wanted};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{ReplayError, pace::Pace};

/// What a replay is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Every partition from offset 0, in bulk.
    Loading,
    /// What came since, batch by batch.
    CatchingUp,
    /// Everything is compared with the log.
    Verifying,
    /// A new search index is filled, a document an order.
    Indexing,
    /// What moved since goes to the new search index.
    Following,
    /// The new generation takes the place of the live one.
    Cutting,
}

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// Which.
    pub partition: u32,
    /// Every record below is folded.
    pub next: i64,
    /// Where this phase ends.
    pub until: i64,
}

/// How far a replay is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it builds.
    pub generation: u32,
    /// What it is at.
    pub phase: Phase,
    /// Someone wants it to wait.
    pub paused: bool,
    /// Records folded in this phase; or documents written.
    pub records: u64,
    /// How many there will be, if that is known and the phase does not go by partitions.
    #[serde(default)]
    pub total: Option<u64>,
    /// For how long it has been at it.
    pub seconds: f64,
    /// How far each partition is, if the phase goes by partitions.
    pub partitions: Vec<PartitionReport>,
}

/// Is told how far the replay is, from time to time and at each phase.
pub type Watch = Arc<dyn Fn(&Report) + Send + Sync>;

/// How often reports are written down, and wishes heard.
pub(super) const EVERY: Duration = Duration::from_millis(500);

pub(super) struct Steering {
    generations: Arc<dyn Generations>,
    number: u32,
    watch: Watch,
    /// Whether there is more time than there is to do.
    pub(super) is_paced: bool,
    state: Mutex<State>,
}

struct State {
    report: Report,
    /// What has begun is not to be left half done: no one's wish counts.
    bound: bool,
    begun: Instant,
    said: Instant,
    pace: Pace,
}

impl Steering {
    pub(super) fn new(
        generations: Arc<dyn Generations>,
        number: u32,
        watch: Watch,
        rate: Option<NonZeroU32>,
    ) -> Self {
        let (generation, phase, partitions) = (number, Phase::Loading, Vec::new());
        let (paused, records, total, seconds) = (false, 0, None, 0.0);
        let report = Report { generation, phase, paused, records, total, seconds, partitions };
        let now = Instant::now();
        let state = State { report, bound: false, begun: now, said: now, pace: Pace::new(rate) };
        let (is_paced, state) = (rate.is_some(), Mutex::new(state));
        Self { generations, number, watch, is_paced, state }
    }

    /// Begins a phase.
    pub(super) async fn phase(
        &self,
        phase: Phase,
        partitions: &[PartitionReport],
    ) -> Result<(), ReplayError> {
        self.begin(phase, partitions.to_vec(), None).await
    }

    /// Begins a phase that goes by numbers.
    pub(super) async fn counting(
        &self,
        phase: Phase,
        total: Option<u64>,
    ) -> Result<(), ReplayError> {
        self.begin(phase, Vec::new(), total).await
    }

    async fn begin(
        &self,
        phase: Phase,
        partitions: Vec<PartitionReport>,
        total: Option<u64>,
    ) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        let report = &mut state.report;
        (report.phase, report.partitions, report.total) = (phase, partitions, total);
        report.records = 0;
        state.begun = Instant::now();
        self.say(&mut state).await
    }

    /// From here on it reports, and no longer does what anyone wants of it.
    pub(super) async fn carry_through(&self) {
        self.state.lock().await.bound = true;
    }

    /// Notes that a partition has moved. Waits here as long as someone wants a pause.
    pub(super) async fn moved(
        &self,
        partition: Partition,
        next: Offset,
        records: usize,
    ) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        let rows = &mut state.report.partitions;
        if let Some(row) = rows.iter_mut().find(|row| row.partition == partition.0) {
            row.next = next.0;
        }
        self.add(&mut state, as_u64(records)).await
    }

    /// Notes that so many more are done. Waits here as long as someone wants a pause.
    pub(super) async fn counted(&self, records: usize) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        self.add(&mut state, as_u64(records)).await
    }

    /// Notes how many are done of how many. Waits here as long as someone wants a pause.
    pub(super) async fn stands(&self, records: u64, of: u64) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        state.report.total = Some(of);
        let more = records.saturating_sub(state.report.records);
        self.add(&mut state, more).await
    }

    async fn add(&self, state: &mut State, records: u64) -> Result<(), ReplayError> {
        state.report.records = state.report.records.saturating_add(records);
        // While the projectors stand still no one is to wait for a person, nor for a word to be written down.
        if state.report.phase == Phase::Cutting {
            return Ok(());
        }
        if !state.bound {
            self.wait(state, records).await?;
        }
        if state.said.elapsed() < EVERY {
            return Ok(());
        }
        self.say(state).await
    }

    /// Waits until so many more are due, and hears what is wanted meanwhile.
    async fn wait(&self, state: &mut State, records: u64) -> Result<(), ReplayError> {
        let due = state.pace.take(records);
        while tokio::time::Instant::now() + EVERY < due {
            tokio::time::sleep(EVERY).await;
            self.say(state).await?;
        }
        tokio::time::sleep_until(due).await;
        Ok(())
    }

    /// Whoever else has something to report waits for the lock meanwhile, and so pauses too.
    async fn say(&self, state: &mut State) -> Result<(), ReplayError> {
        loop {
            state.report.seconds = state.begun.elapsed().as_secs_f64();
            let text = serde_json::to_string(&state.report).unwrap_or_default();
            let wanted = self.generations.report(self.number, &text).await?;
            let wanted = if state.bound { Wanted::Run } else { wanted };
            let was_paused = std::mem::replace(&mut state.report.paused, wanted == Wanted::Pause);
            (self.watch)(&state.report);
            state.said = Instant::now();
            match wanted {
                Wanted::Run => return Ok(()),
                Wanted::Cancel => return Err(ReplayError::Cancelled(self.number)),
                // At once, that it is seen; then now and then.
                Wanted::Pause if !was_paused => {}
                Wanted::Pause => tokio::time::sleep(EVERY).await,
            }
        }
    }
}

fn as_u64(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
