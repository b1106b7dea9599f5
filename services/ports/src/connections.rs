//! How much of its server a store takes at the moment.

/// The connections of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open, and at work.
    pub in_use: u32,
    /// Open, and free.
    pub idle: u32,
    /// Operations that wait for one, if the store knows.
    pub waiting: Option<u32>,
    /// Open at most.
    pub max: u32,
}

/// A store that keeps connections.
pub trait Pooled: Send + Sync {
    /// What they are doing; answers at once.
    fn connections(&self) -> Connections;
}
