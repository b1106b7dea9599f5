//! Folds the event log into snapshots and announces each state change.
