//! What works and what waits: every role reports, the edges (gRPC health, HTTP readiness) show it.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

/// The state of every role of this process.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

/// One role's pen. Until it says `up`, the role counts as starting.
#[derive(Clone, Debug)]
pub struct Reporter {
    role: &'static str,
    health: Health,
}

impl Health {
    /// A pen for a role; it starts as not serving.
    #[must_use]
    pub fn reporter(&self, role: &'static str) -> Reporter {
        self.set(role, Some("starting".to_owned()));
        Reporter { role, health: self.clone() }
    }

    /// Each role, with why it does not serve, if it does not.
    #[must_use]
    pub fn roles(&self) -> Vec<(&'static str, Option<String>)> {
        let roles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roles.iter().map(|(role, why)| (*role, why.clone())).collect()
    }

    fn set(&self, role: &'static str, why: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(role, why);
    }
}

impl Reporter {
    /// The role does its work.
    pub fn up(&self) {
        self.health.set(self.role, None);
    }

    /// The role waits for something, `why`.
    pub fn down(&self, why: impl Display) {
        self.health.set(self.role, Some(why.to_string()));
    }
}
