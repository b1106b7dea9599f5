//! What the roles need from the outside, as small traits: event log, stores, search index, mailer, clock.
//!
//! A port's errors say what the caller can do about them, never which driver they came from. Adapters carry bytes and
//! positions; what the bytes mean is the codec's business.

mod audit;
mod clock;
mod connections;
mod dead_letter;
mod delivery;
mod generation;
mod health;
mod history;
mod log;
mod mail;
mod measures;
mod metric;
mod murmur2;
mod retry;
mod search;
mod store;
mod timer;
mod traceparent;
mod transition;
mod words;

pub use audit::{Audit, AuditStore};
pub use clock::{Clock, IdSource};
pub use connections::{Connections, Pooled};
pub use dead_letter::{
    Consumer, DeadLetter, DeadLetterReason, DeadLetters, LetterFilter, LetterKey, LetterStatus,
};
pub use delivery::{Delivery, DeliveryKey, DeliveryResult, DeliveryStore, Finished, NewDelivery};
pub use generation::{
    Cut, Generation, GenerationStore, Generations, Lease, NewGeneration, Stage, Wanted,
};
pub use health::{Health, Reporter};
pub use history::{HistoryOutcome, HistoryRow};
pub use log::{
    Ack, AppendError, EventLog, Follower, Group, GroupOffsets, Header, LogError, LogRecord,
    NewRecord, Offset, Partition, Position, Reader, Revoked, StartOffsets, Subscription,
    SubscriptionEvent, Topic, TopicSettings,
};
pub use mail::{Mail, MailError, Mailer};
pub use measures::{
    LOAD_TEST_TYPE, Measured, Measures, OTHER_LOAD_TESTS, Placing, ReadOrder, StreamedOrders,
    Taken, Told, Updates, load_test_type,
};
pub use metric::{
    LatencyHistogram, MailFields, MetricDocument, MetricEventFields, MetricOf, MetricServiceFields,
    MetricStream, NodeFields,
};
pub use murmur2::partition_for_key;
pub use retry::{Backoff, retry_until_ok};
pub use search::{
    Concealing, CustomerDocument, CustomerKey, Customers, Documents, Found, IndexOutcome,
    LineDocument, NewIndex, OrderDocument, OrderHit, ParcelDocument, PaymentDocument, SearchError,
    SearchGenerations, SearchIndex, SearchKey, SearchQuery, seconds,
};
pub use store::{
    Checkpoint, Commit, CommitError, Epoch, ListKey, LookedUp, OrderFilter, OrderStore,
    PartitionCommit, Place, Progress, Refold, SnapshotRow, StoreError, StoredSnapshot,
};
pub use timer::{Timer, TimerKey, TimerKind, TimerStore};
pub use traceparent::{NoTraceparent, TraceId, Traceparent};
pub use transition::{
    EventFields, KeptTransitions, ServiceFields, TraceFields, TransitionDocument, TransitionKey,
    TransitionScan, TransitionStream,
};
pub use words::words;
