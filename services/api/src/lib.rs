//! The gRPC edge: parses requests, decides commands, appends events, reads snapshots.
//!
//! OK means that the log holds the event durably (promise 1). Placing an order asks the store only whether its request id
//! came before. A call about an existing order is decided on its snapshot; a no is only given once the snapshot is known
//! to be current. The api never writes to the store, and what it folds again is the past: the projector has the last
//! word.

mod append;
mod call;
mod command;
mod denial;
mod filter;
mod freshness;
mod gather;
mod health;
mod judge;
mod observe;
mod past;
mod pipeline;
mod place;
mod price;
mod read;
mod recent;
mod record;
mod seed;
mod server;
mod service;
mod token;
mod watch;

use std::{sync::Arc, time::Duration};

use events::Currency;
use ports::{Clock, EventLog, IdSource, Measures, OrderStore, Reporter, SearchIndex};

pub use server::run;

/// What the api works with.
#[derive(Clone)]
pub struct Parts {
    /// Where events go.
    pub log: Arc<dyn EventLog>,
    /// Where snapshots are read.
    pub store: Arc<dyn OrderStore>,
    /// Where orders are searched.
    pub index: Arc<dyn SearchIndex>,
    /// Says when an event happened.
    pub clock: Arc<dyn Clock>,
    /// Names orders and events that bring no request id.
    pub ids: Arc<dyn IdSource>,
    /// Where the api says whether it serves.
    pub health: Reporter,
    /// Where it notes how long placing takes.
    pub measures: Measures,
}

/// The api's bounds. Every queue, wait and message has one.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The currency of the older contract's float prices.
    pub seed_currency: Currency,
    /// Calls worked on at a time, a stream of orders counting as one; more are answered `RESOURCE_EXHAUSTED`.
    pub calls_max: usize,
    /// Watches open at a time; more are answered `RESOURCE_EXHAUSTED`.
    pub watches_max: usize,
    /// Changes that wait for one watcher. One more and its watch ends with `RESOURCE_EXHAUSTED`.
    pub watch_queue_max: usize,
    /// Calls that one connection can have open; more wait in the client (HTTP/2 flow control).
    pub calls_per_connection_max: u32,
    /// Orders of one stream that are read and not yet acknowledged; more wait in the client.
    pub stream_orders_max: usize,
    /// Bytes of a request; a larger one is answered `OUT_OF_RANGE`.
    pub request_bytes_max: usize,
    /// How long a unary call may take if the caller sets no deadline, or a later one.
    pub call_time_max: Duration,
    /// How long a call waits for the projection to catch up with the log before it answers `UNAVAILABLE`.
    pub catch_up_max: Duration,
    /// How long calls under way may take once the api was told to stop.
    pub drain_max: Duration,
    /// How often log and store are asked whether they work.
    pub check_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed_currency: Currency::CLP,
            calls_max: 4_096,
            watches_max: 8_192,
            watch_queue_max: 8_192,
            calls_per_connection_max: 2_048,
            stream_orders_max: 2_048,
            request_bytes_max: 1 << 20,
            call_time_max: Duration::from_secs(30),
            catch_up_max: Duration::from_secs(3),
            drain_max: Duration::from_secs(20),
            check_every: Duration::from_secs(1),
        }
    }
}

/// Why the api can't go on; an operator must act.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors that clients ask for are damaged: a fault of the build.
    #[error("can't offer reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server ended by itself.
    #[error("the gRPC server ended")]
    Server(#[from] tonic::transport::Error),
}
