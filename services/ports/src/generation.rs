//! Generations: states of the ledger that were built from the log. One is live; a replay builds another beside it, and
//! puts it in its place.

use std::any::Any;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Commit, DeadLetters, OrderStore, Position, Progress, StoreError};

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows are written without order; of no use until it is ready. A replay that was interrupted here starts anew.
    Loading,
    /// A state like any other, at its own offsets.
    Ready,
    /// What everyone reads and the projectors write.
    Live,
    /// Was live.
    Retired,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Loading, Self::Ready, Self::Live, Self::Retired];

    /// The name in the stores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// What whoever watches wants of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// To go on.
    #[default]
    Run,
    /// To wait.
    Pause,
    /// To end, and remove what it built.
    Cancel,
}

impl Wanted {
    /// Everything that can be wanted.
    pub const ALL: [Self; 3] = [Self::Run, Self::Pause, Self::Cancel];

    /// The name in the stores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    /// What that name stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wanted| wanted.name() == name)
    }
}

/// One generation, as its store tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counted from 1, never given twice as long as a later one is there.
    pub number: u32,
    /// Where it is in its life.
    pub stage: Stage,
    /// Which fold made it: [`events::FOLD_VERSION`] of the program that did.
    pub fold_version: u32,
    /// Built to be looked at: no replay makes it live unless it is told to.
    pub kept: bool,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it became live, and where each partition stood then.
    pub live: Option<(DateTime<Utc>, Vec<Position>)>,
    /// The search index is yet to follow it.
    pub search_pending: bool,
    /// What is wanted of the replay that builds it.
    pub wanted: Wanted,
    /// What that replay last said of itself.
    pub report: Option<String>,
}

/// What a new generation is for.
#[derive(Clone, Copy, Debug)]
pub struct NewGeneration {
    /// How many partitions the log has.
    pub partitions: u32,
    /// See [`Generation::kept`].
    pub kept: bool,
    /// When it is begun.
    pub created_at: DateTime<Utc>,
}

/// The right to build, to make live and to remove. It ends when it is dropped, or with its process.
pub type Lease = Box<dyn Any + Send + Sync>;

/// The generations of one ledger's state.
#[async_trait]
pub trait Generations: Send + Sync {
    /// Every one, by number.
    async fn generations(&self) -> Result<Vec<Generation>, StoreError>;

    /// Takes the right to change them, which one process has at a time; `None` if another has it.
    async fn lease(&self) -> Result<Option<Lease>, StoreError>;

    /// Makes an empty one beside the live one, of this program's fold, [`Stage::Loading`]; its progress is bound to the
    /// log's partitions, at offset 0.
    async fn create(&self, new: NewGeneration) -> Result<u32, StoreError>;

    /// Opens one that is beside the live one.
    ///
    /// # Errors
    /// [`StoreError::OtherFold`] unless this program's fold made it.
    async fn open(&self, number: u32) -> Result<Box<dyn GenerationStore>, StoreError>;

    /// Says that one has loaded: it is a state at its progress.
    async fn loaded(&self, number: u32) -> Result<(), StoreError>;

    /// Writes down what the replay that builds it has to say, and asks what is wanted of it.
    async fn report(&self, number: u32, report: &str) -> Result<Wanted, StoreError>;

    /// Says what is wanted of whoever builds it.
    async fn want(&self, number: u32, wanted: Wanted) -> Result<(), StoreError>;

    /// Holds the live one's progress still, so that another can be brought at least as far and take its place.
    /// Projectors wait; whoever reads does not, but for the last moment. Dropped, it leaves everything as it was.
    async fn begin_cut(&self, number: u32) -> Result<Box<dyn Cut>, StoreError>;

    /// Says that the search index has followed.
    async fn search_followed(&self, number: u32) -> Result<(), StoreError>;

    /// Removes one that is not live, with all that it holds.
    async fn remove(&self, number: u32) -> Result<(), StoreError>;
}

/// One generation beside the live one. What is read and committed through it is its own.
#[async_trait]
pub trait GenerationStore: OrderStore + DeadLetters {
    /// Adds rows while it is loading, in bulk and in any order: each record's row once, each order's snapshot once.
    /// Progress is not looked at, and `commit.partitions` must be empty. All or nothing.
    async fn load_rows(&self, rows: &Commit) -> Result<(), StoreError>;

    /// After the last row: makes it as fast to read as the live one.
    async fn finish_loading(&self) -> Result<(), StoreError>;
}

/// The live generation's projectors are held still.
#[async_trait]
pub trait Cut: Send + Sync {
    /// Where the live generation stands, and will as long as this is there.
    fn live(&self) -> &[Progress];

    /// Makes the new one live and retires the old one, in one transaction; what was announced stays announced, and every
    /// partition is in a later epoch than in either: nothing that was read of the old one is committed to the new one.
    /// Whether the search index is to follow is written down with it.
    ///
    /// # Errors
    /// A partition of the new one stands below the live one, or the store failed; nothing has changed then. (Above is
    /// well: what is not announced yet will be, and projectors go on from there.)
    async fn finish(
        self: Box<Self>,
        at: DateTime<Utc>,
        search_pending: bool,
    ) -> Result<(), StoreError>;
}
