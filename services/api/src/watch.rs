//! Watching orders: `WatchOrder` and `WatchOrders`.
//!
//! One task a process reads `orders.state-changed`, once for all watchers ([`hub`]). A watcher is a stream with a bounded
//! queue: it costs a place in a map, and whoever reads too slowly loses that place instead of slowing the others.

mod hub;
mod many;
mod one;

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use ports::{EventLog, OrderStore};
use proto::v1;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub(crate) use many::Many;
pub(crate) use one::One;

use self::hub::Hub;
use crate::{Settings, call, denial::Denial, freshness::Snapshots, observe::Observed};

/// How long the begin of a watch may take if the caller sets no deadline.
const BEGIN_MAX: Duration = Duration::from_secs(30);

/// What every watch works with.
pub(crate) struct Watches {
    log: Arc<dyn EventLog>,
    store: Arc<dyn OrderStore>,
    snapshots: Arc<Snapshots>,
    hub: Arc<Hub>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A watch that has begun.
pub(crate) trait Watch: Send + 'static {
    type Update: Send + 'static;

    /// The next thing to send. Once dropped half-way it is not called again.
    fn next(&mut self) -> impl Future<Output = Result<Self::Update, Denial>> + Send;
}

/// The stream of a watch's updates.
pub(crate) type Updates<U> = stream::BoxStream<'static, Result<U, Status>>;

impl Watches {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        store: Arc<dyn OrderStore>,
        snapshots: Arc<Snapshots>,
        settings: &Settings,
        stop: CancellationToken,
    ) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(&log), settings.watch_queue_max));
        let places = Arc::new(Semaphore::new(settings.watches_max));
        Self { log, store, snapshots, hub, places, stop }
    }

    /// Reads what all watches are about, once someone watches. Never ends by itself.
    pub(crate) async fn follow(&self) {
        self.hub.run().await;
    }

    /// Begins a watch and turns it into a stream, which ends when the api stops or the caller's deadline passes.
    pub(crate) async fn start<R, W, F>(
        self: &Arc<Self>,
        method: &'static str,
        request: Request<R>,
        begin: impl FnOnce(Arc<Self>, R, Instant) -> F + Send,
    ) -> Result<Response<Updates<W::Update>>, Status>
    where
        R: Send,
        W: Watch,
        F: Future<Output = Result<W, Denial>> + Send,
    {
        let (metadata, _, message) = request.into_parts();
        let mut observed = Observed::start(method);
        let deadline = call::timeout(&metadata).map(|timeout| Instant::now() + timeout);
        let patience = Instant::now() + BEGIN_MAX;
        let begin_by = deadline.map_or(patience, |deadline| deadline.min(patience));
        let place = Arc::clone(&self.places).try_acquire_owned();
        let begun = match place {
            Err(_) => Err(Denial::Busy("too many watches are open")),
            Ok(place) => {
                let begun = begin(Arc::clone(self), message, begin_by);
                let begun = tokio::time::timeout_at(begin_by, begun).await;
                begun.unwrap_or(Err(Denial::Late)).map(|watch| (watch, place))
            }
        };
        let (watch, place) = begun.map_err(|denial| {
            let status = Status::from(denial);
            observed.ends_with(status.code());
            status
        })?;
        let life = Life { watch, deadline, stop: self.stop.clone(), observed, _place: place };
        Ok(Response::new(updates(life).boxed()))
    }
}

/// A watch and what ends it.
struct Life<W> {
    watch: W,
    deadline: Option<Instant>,
    stop: CancellationToken,
    observed: Observed,
    _place: tokio::sync::OwnedSemaphorePermit,
}

fn updates<W: Watch>(life: Life<W>) -> impl Stream<Item = Result<W::Update, Status>> {
    stream::unfold(Some(life), |life| async {
        let mut life = life?;
        let over = async {
            match life.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            biased;
            () = life.stop.cancelled() => Err(Denial::Closing),
            () = over => Err(Denial::Late),
            next = life.watch.next() => next,
        };
        match next {
            Ok(update) => Some((Ok(update), Some(life))),
            Err(denial) => {
                let status = Status::from(denial);
                life.observed.ends_with(status.code());
                Some((Err(status), None))
            }
        }
    })
}

/// What happened, as the record of it in `orders.state-changed` says.
fn change_of(message: &v1::OrderStateChanged) -> v1::OrderChange {
    v1::OrderChange {
        event_id: message.event_id.clone(),
        event_type: message.event_type.clone(),
        from: message.from,
        to: message.to,
        rejection: message.rejection.clone(),
        actor: message.actor.clone(),
        occurred_at: message.occurred_at,
        position: message.position,
    }
}

/// What happened, as a row of the history says.
fn change_in_history(row: &ports::HistoryRow) -> v1::OrderChange {
    let (from, to, rejection) = codec::outcome_to_proto(&row.outcome);
    v1::OrderChange {
        event_id: row.event_id.to_string(),
        event_type: row.kind.name().to_owned(),
        from: from.into(),
        to: to.into(),
        rejection,
        actor: row.actor.clone().unwrap_or_default(),
        occurred_at: Some(codec::encode_instant(row.occurred_at)),
        position: Some(crate::append::to_proto(row.position)),
    }
}
