//! What a run is to do, settled before it begins; every output tells it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ports::{Clock as _, IdSource as _};

use super::mix::Mix;
use crate::{
    cli::{ClientArgs, LoadArgs, Wait},
    clock::{SystemClock, SystemIds},
};

/// Callers of a closed loop if nobody says: of unary calls, and of each stream.
const CALLERS: u32 = 16;
const CALLERS_A_STREAM: u32 = 128;

/// How calls follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Open loop: so many a second, whatever the answers do.
    Rate { per_second: u32, in_flight_max: u32 },
    /// Closed loop: each caller waits for its answer.
    Callers(u32),
}

/// A run, from its settings alone.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) run_id: String,
    pub(super) load_test_type: String,
    pub(super) began_at: DateTime<Utc>,
    pub(super) server: String,
    pub(super) timeout: Duration,
    pub(super) pace: Pace,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
    pub(super) mix: Mix,
    pub(super) streams: Option<u32>,
    pub(super) wait: Wait,
    pub(super) connections: u32,
    pub(super) customers: u32,
    pub(super) seed: u64,
}

impl Plan {
    pub(super) fn new(client: &ClientArgs, args: LoadArgs) -> Self {
        let callers =
            args.stream.map_or(CALLERS, |streams| streams.saturating_mul(CALLERS_A_STREAM));
        let in_flight_max = args.pace.in_flight_max;
        let pace = args.pace.rate.map_or_else(
            || Pace::Callers(args.pace.callers.unwrap_or(callers)),
            |per_second| Pace::Rate { per_second, in_flight_max },
        );
        Self {
            run_id: args.run_id.unwrap_or_else(|| SystemIds.fresh().simple().to_string()),
            load_test_type: args.load_test_type,
            began_at: SystemClock.now(),
            server: client.server.clone(),
            timeout: Duration::from_secs(client.timeout),
            pace,
            warm_up: args.warm_up,
            duration: args.duration,
            mix: args.mix,
            streams: args.stream,
            wait: args.wait,
            connections: args.connections,
            customers: args.customers,
            seed: args.seed,
        }
    }

    /// How many calls can be under way at the same time.
    pub(super) const fn in_flight_max(&self) -> u32 {
        match self.pace {
            Pace::Rate { in_flight_max, .. } => in_flight_max,
            Pace::Callers(callers) => callers,
        }
    }

    /// Two lines for people: which run, and what it does.
    pub(super) fn told(&self) -> String {
        let pace = match self.pace {
            Pace::Rate { per_second, in_flight_max } => {
                format!("open loop, {per_second} calls/s, at most {in_flight_max} under way")
            }
            Pace::Callers(callers) => format!("closed loop, {callers} callers"),
        };
        let weights = self.mix.weights().map(|(kind, weight)| format!("{}={weight}", kind.name()));
        let mix = weights.collect::<Vec<_>>().join(",");
        let streams = self.streams.map_or_else(String::new, |n| format!(", {n} streams"));
        let wait = match self.wait {
            Wait::Logged => "",
            Wait::Applied => ", waiting for verdicts",
        };
        let warm_up = match self.warm_up {
            Duration::ZERO => String::new(),
            some => format!(" after {some:?} of warm-up"),
        };
        let Self { load_test_type, run_id, seed, connections, duration, .. } = self;
        format!(
            "load {load_test_type}, run {run_id}, seed {seed}\n\
             {pace}, {connections} connections{streams}{wait}; {mix}; {duration:?}{warm_up}"
        )
    }
}
