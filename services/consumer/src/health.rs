//! A role's health when the role is several loops: it serves while all of them do.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use ports::Reporter;

/// Adds up how a role's tasks stand and reports it.
#[derive(Clone, Debug)]
pub struct Standing {
    reporter: Reporter,
    tasks: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

/// One task's pen. Until it says `up`, the task counts as starting.
#[derive(Clone, Debug)]
pub struct Task {
    name: &'static str,
    standing: Standing,
}

impl Standing {
    /// A role without tasks, not yet reported.
    #[must_use]
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter, tasks: Arc::default() }
    }

    /// A pen for a task. Make every task's before any task starts, or the role may seem to serve too early.
    #[must_use]
    pub fn task(&self, name: &'static str) -> Task {
        self.set(name, Some("starting".to_owned()));
        Task { name, standing: self.clone() }
    }

    fn set(&self, name: &'static str, why: Option<String>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.insert(name, why);
        // Reported under the lock, so that the last report is of the last change.
        match tasks.iter().find_map(|(name, why)| why.as_ref().map(|why| (name, why))) {
            Some((name, why)) => self.reporter.down(format_args!("{name}: {why}")),
            None => self.reporter.up(),
        }
    }
}

impl Task {
    /// The task does its work.
    pub fn up(&self) {
        self.standing.set(self.name, None);
    }

    /// The task waits for something, `why`.
    pub fn down(&self, why: impl Display) {
        self.standing.set(self.name, Some(why.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use ports::Health;

    use super::*;

    #[test]
    fn a_role_serves_while_all_its_tasks_do() {
        let health = Health::default();
        let standing = Standing::new(health.reporter("mailer"));
        let (intake, sender) = (standing.task("intake"), standing.task("sender"));
        let why = || health.roles().remove(0).1;

        intake.up();
        assert_eq!(why().as_deref(), Some("sender: starting"));
        sender.up();
        assert_eq!(why(), None);
        sender.down("no mail server");
        intake.up();
        assert_eq!(why().as_deref(), Some("sender: no mail server"));
        sender.up();
        assert_eq!(why(), None);
    }
}
