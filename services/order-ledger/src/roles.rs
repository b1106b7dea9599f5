//! What each role is given of the process's parts and configuration.

use std::{error::Error as _, time::Duration};

use futures::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use ports::Reporter;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{config::Config, parts::Parts, serve::ServeError};

/// How often the projection is audited.
const AUDIT_EVERY: Duration = Duration::from_secs(10);

/// How often to look whether a replay left the search index behind.
const FOLLOW_EVERY: Duration = Duration::from_secs(30);

/// A role's life, not begun yet.
pub(crate) type RoleRun = BoxFuture<'static, Result<(), ServeError>>;

/// What there is to give to one role.
pub(crate) struct Given<'a> {
    pub(crate) config: &'a Config,
    pub(crate) parts: &'a Parts,
    pub(crate) health: Reporter,
    pub(crate) stop: &'a CancellationToken,
}

impl Given<'_> {
    pub(crate) fn api(self, listener: TcpListener) -> RoleRun {
        let Parts { log, orders: store, search: index, clock, ids, measures, .. } =
            self.parts.clone();
        let settings =
            api::Settings { seed_currency: self.config.seed_currency, ..api::Settings::default() };
        let health = self.health;
        let parts = api::Parts { log, store, index, clock, ids, health, measures };
        let run = api::run(parts, settings, listener, self.stop.clone());
        run.map(|ended_with| ended_with.map_err(ended("api"))).boxed()
    }

    pub(crate) fn projector(self) -> RoleRun {
        let Parts { log, orders: store, dead_letters, audits, clock, measures, .. } =
            self.parts.clone();
        let auditor = replay::Auditor { log: log.clone(), orders: store.clone(), audits };
        let audit = auditor.run(AUDIT_EVERY, self.stop.clone()).then(|()| future::pending());
        let settings = projector::Settings { workers: self.config.projector_workers };
        let health = self.health;
        let parts = projector::Parts { log, store, dead_letters, clock, health, measures };
        let run = projector::run(parts, settings, self.stop.clone());
        future::select(run.boxed(), audit.boxed())
            .map(|ended_with| ended_with.factor_first().0.map_err(ended("projector")))
            .boxed()
    }

    pub(crate) fn search(self) -> RoleRun {
        let follow = follow_replays(self.parts.of_replay()).then(|()| future::pending());
        let Parts { log, search: index, transitions, dead_letters, clock, .. } = self.parts.clone();
        let health = self.health;
        let parts = search::Parts { log, index, transitions, dead_letters, clock, health };
        let run = search::run(parts, search::Settings::default(), self.stop.clone());
        future::select(run.boxed(), follow.boxed())
            .map(|ended_with| ended_with.factor_first().0.map_err(ended("search")))
            .boxed()
    }

    pub(crate) fn mailer(self) -> RoleRun {
        let Parts { log, deliveries, dead_letters, mailer, clock, measures, .. } =
            self.parts.clone();
        let settings = mailer::Settings {
            begin_within: self.config.claim_lease,
            answer_timeout: self.config.mail_timeout,
            ..mailer::Settings::default()
        };
        let health = self.health;
        let parts =
            mailer::Parts { log, deliveries, dead_letters, mailer, clock, health, measures };
        let run = mailer::run(parts, settings, self.stop.clone());
        run.map(|ended_with| ended_with.map_err(ended("mailer"))).boxed()
    }

    pub(crate) fn fulfilment(self) -> RoleRun {
        let Parts { log, timers, dead_letters, clock, .. } = self.parts.clone();
        let after = self.config.fulfilment;
        let settings = fulfilment::Settings {
            pay_after: after.pay_after,
            prepare_after: after.prepare_after,
            ship_after: after.ship_after,
            deliver_after: after.deliver_after,
            complete_after: after.complete_after,
            cancel_unpaid_after: after.cancel_unpaid_after,
            lease: self.config.claim_lease,
            ..fulfilment::Settings::default()
        };
        let parts = fulfilment::Parts { log, timers, dead_letters, clock, health: self.health };
        let run = fulfilment::run(parts, settings, self.stop.clone());
        run.map(|ended_with| ended_with.map_err(ended("fulfilment"))).boxed()
    }
}

/// Lets the search index follow a replay that died before it had, beside everything that is indexed meanwhile. Looks again
/// and again: another may die at any time.
async fn follow_replays(parts: replay::Parts) {
    loop {
        if let Err(error) = replay::finish_cut(&parts).await {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(%error, cause, "the search index can't follow a replay yet, trying again");
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

/// Says which role ended with an error.
pub(crate) fn ended<E: std::error::Error + Send + Sync + 'static>(
    role: &'static str,
) -> impl Fn(E) -> ServeError {
    move |source| ServeError::Role { role, source: Box::new(source) }
}
