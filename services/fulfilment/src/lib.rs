//! Fulfilment: moves orders on by the clock. What a state change sets or clears is a durable timer; a timer that is due
//! appends the order's next event to the log, as anyone else would.
//!
//! Two loops. The intake follows `orders.state-changed` and replaces an order's timers; the other claims due timers,
//! appends their events and removes them once the log has acknowledged. A crash in between, or a second instance,
//! fires a timer again under the same event id, and the fold drops the repeat. It decides nothing: an event that comes
//! too late is the fold's to reject.

mod fire;
mod intake;
mod plan;

use std::{sync::Arc, time::Duration};

use consumer::{Alarm, Retry, Source, Standing, both, follow};
use ports::{Clock, Consumer, DeadLetters, EventLog, Reporter, TimerKind, TimerStore};
use tokio_util::sync::CancellationToken;

pub use consumer::Error;

/// What fulfilment works with.
#[derive(Clone)]
pub struct Parts {
    /// Where state changes come from and events go.
    pub log: Arc<dyn EventLog>,
    /// Keeps the timers.
    pub timers: Arc<dyn TimerStore>,
    /// Keeps state changes that can't be read.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Says when a timer is due, and when what it brings about happened.
    pub clock: Arc<dyn Clock>,
    /// Says whether fulfilment serves.
    pub health: Reporter,
}

/// Which timers are set, and how they are worked off. A timer without a duration is off; the default is all off.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From `Placed` to a capture of what is to be paid (demo).
    pub pay_after: Option<Duration>,
    /// From `Paid` to the start of the preparation (demo).
    pub prepare_after: Option<Duration>,
    /// From `Preparing` to shipping, with a made-up parcel (demo).
    pub ship_after: Option<Duration>,
    /// From `Shipped` to delivery (demo).
    pub deliver_after: Option<Duration>,
    /// From `Delivered` to completion: the return window.
    pub complete_after: Option<Duration>,
    /// From placing, or from a declined payment, to the cancellation of what no one paid.
    pub cancel_unpaid_after: Option<Duration>,
    /// How many timers are fired together.
    pub batch_max: usize,
    /// How long a claimed timer is kept from other instances; far longer than appending an event takes.
    pub lease: Duration,
    /// How often to look for timers that other processes set.
    pub look_again_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pay_after: None,
            prepare_after: None,
            ship_after: None,
            deliver_after: None,
            complete_after: None,
            cancel_unpaid_after: None,
            batch_max: 500,
            lease: Duration::from_secs(60),
            look_again_after: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// The duration of a kind of timer; `None` if it is off.
    #[must_use]
    pub const fn after(&self, kind: TimerKind) -> Option<Duration> {
        match kind {
            TimerKind::Pay => self.pay_after,
            TimerKind::Prepare => self.prepare_after,
            TimerKind::Ship => self.ship_after,
            TimerKind::Deliver => self.deliver_after,
            TimerKind::Complete => self.complete_after,
            TimerKind::CancelUnpaid => self.cancel_unpaid_after,
        }
    }

    /// Whether no timer is ever set.
    #[must_use]
    pub fn are_off(&self) -> bool {
        TimerKind::ALL.into_iter().all(|kind| self.after(kind).is_none())
    }
}

/// Sets and fires timers until `stop`; then finishes what is in hand. With every timer off it does nothing at all: the
/// group's place is left where it is, so that timers switched on later cover the orders of the meantime.
///
/// # Errors
/// [`Error`] if an operator must act. Servers that are away are waited for.
pub async fn run(parts: Parts, settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let Parts { log, timers, dead_letters, clock, health } = parts;
    if settings.are_off() {
        health.up();
        tracing::info!("no timer has a duration: fulfilment rests");
        stop.cancelled().await;
        return Ok(());
    }
    let stop = stop.child_token();
    let standing = Standing::new(health);
    let retry = |task| Retry::new(Consumer::Fulfilment, standing.task(task), stop.clone());
    let (reading, firing) = (retry("reading"), retry("firing"));
    let alarm = Alarm::new(Arc::clone(&clock), settings.look_again_after);

    let intake = intake::Intake { timers: Arc::clone(&timers), alarm: alarm.clone(), settings };
    let trigger = fire::Trigger {
        log: Arc::clone(&log),
        timers,
        clock: Arc::clone(&clock),
        alarm,
        retry: firing,
        settings,
    };
    let source = Source { consumer: Consumer::Fulfilment, log, dead_letters, clock };
    both(&stop, follow(&source, &intake, &reading), trigger.run()).await
}
