//! How far a replay is, for whoever watches; and what they want of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ports::{Generations, Offset, Partition, Wanted};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::ReplayError;

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
    /// Records folded in this phase.
    pub records: u64,
    /// For how long it has been at it.
    pub seconds: f64,
    /// How far each partition is, if the phase goes by partitions.
    pub partitions: Vec<PartitionReport>,
}

/// Is told how far the replay is, from time to time and at each phase.
pub type Watch = Arc<dyn Fn(&Report) + Send + Sync>;

/// How often reports are written down, and wishes heard.
const EVERY: Duration = Duration::from_millis(500);

pub(super) struct Steering {
    generations: Arc<dyn Generations>,
    number: u32,
    watch: Watch,
    state: Mutex<State>,
}

struct State {
    report: Report,
    begun: Instant,
    said: Instant,
}

impl Steering {
    pub(super) fn new(generations: Arc<dyn Generations>, number: u32, watch: Watch) -> Self {
        let (generation, phase, partitions) = (number, Phase::Loading, Vec::new());
        let (paused, records, seconds) = (false, 0, 0.0);
        let report = Report { generation, phase, paused, records, seconds, partitions };
        let now = Instant::now();
        let state = Mutex::new(State { report, begun: now, said: now });
        Self { generations, number, watch, state }
    }

    /// Begins a phase.
    pub(super) async fn phase(
        &self,
        phase: Phase,
        partitions: &[PartitionReport],
    ) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        state.report.phase = phase;
        state.report.partitions = partitions.to_vec();
        state.report.records = 0;
        state.begun = Instant::now();
        self.say(&mut state).await
    }

    /// Notes that a partition has moved. Waits here as long as someone wants a pause.
    pub(super) async fn moved(
        &self,
        partition: Partition,
        next: Offset,
        records: usize,
    ) -> Result<(), ReplayError> {
        let mut state = self.state.lock().await;
        let report = &mut state.report;
        report.records += u64::try_from(records).unwrap_or(u64::MAX);
        if let Some(row) = report.partitions.iter_mut().find(|row| row.partition == partition.0) {
            row.next = next.0;
        }
        // While the projectors stand still no one is to wait for a person, nor for a word to be written down.
        if state.said.elapsed() < EVERY || state.report.phase == Phase::Cutting {
            return Ok(());
        }
        self.say(&mut state).await
    }

    /// Whoever else has something to report waits for the lock meanwhile, and so pauses too.
    async fn say(&self, state: &mut State) -> Result<(), ReplayError> {
        loop {
            state.report.seconds = state.begun.elapsed().as_secs_f64();
            let text = serde_json::to_string(&state.report).unwrap_or_default();
            let wanted = self.generations.report(self.number, &text).await?;
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
