//! The threads that read: owned by the log, ended by whoever they read for, waited for at the end.

use std::{
    sync::Mutex,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ports::LogError;

use crate::error::lock;

/// Every thread that may still run.
#[derive(Default)]
pub(crate) struct Threads(Mutex<Vec<Reading>>);

struct Reading {
    /// Whether no one is read for any more: the thread is ending.
    is_over: Box<dyn Fn() -> bool + Send>,
    thread: JoinHandle<()>,
}

impl Threads {
    /// How long the end of the process waits for members to leave their groups. Without leaving, a group would give
    /// their partitions to others only after the session time-out.
    const LEAVE_WITHIN: Duration = Duration::from_secs(5);

    /// Starts a thread and keeps it, and forgets those that ended.
    pub(crate) fn start(
        &self,
        name: &str,
        is_over: impl Fn() -> bool + Send + 'static,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), LogError> {
        let thread = thread::Builder::new().name(format!("kafka-{name}")).spawn(work);
        let thread = thread
            .map_err(|error| LogError::Unavailable(format!("no thread to read on: {error}")))?;
        let mut threads = lock(&self.0);
        threads.retain(|reading| !reading.thread.is_finished());
        threads.push(Reading { is_over: Box::new(is_over), thread });
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let until = Instant::now() + Self::LEAVE_WITHIN;
        // What is read for someone who outlives the log goes on; there is nothing to wait for then.
        let leaving = |reading: &Reading| (reading.is_over)() && !reading.thread.is_finished();
        while lock(&self.0).iter().any(leaving) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
