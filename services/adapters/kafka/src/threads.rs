//! The threads of subscriptions: owned by the log, ended by their subscriptions, waited for at the end.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{error::lock, mailbox::Mailbox};

/// Every member's thread that may still run.
#[derive(Default)]
pub(crate) struct Threads(Mutex<Vec<(Arc<Mailbox>, JoinHandle<()>)>>);

impl Threads {
    /// How long the end of the process waits for members to leave their groups. Without leaving, a group would give
    /// their partitions to others only after the session time-out.
    const LEAVE_WITHIN: Duration = Duration::from_secs(5);

    /// Keeps a thread, and forgets those that ended.
    pub(crate) fn keep(&self, mailbox: Arc<Mailbox>, thread: JoinHandle<()>) {
        let mut threads = lock(&self.0);
        threads.retain(|(_, thread)| !thread.is_finished());
        threads.push((mailbox, thread));
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let until = Instant::now() + Self::LEAVE_WITHIN;
        // A subscription that outlives the log goes on; there is nothing to wait for then.
        let leaving = |(mailbox, thread): &(Arc<Mailbox>, JoinHandle<()>)| {
            mailbox.is_closed() && !thread.is_finished()
        };
        while lock(&self.0).iter().any(leaving) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
