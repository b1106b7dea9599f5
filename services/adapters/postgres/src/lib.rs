//! Snapshots, history, deliveries, timers and dead letters in Postgres.
