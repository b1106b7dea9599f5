//! The embedded parts do what every adapter of their ports must.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use adapter_embedded::{SqliteLog, SqliteSearch, SqliteStore};
use ports::{EventLog as _, OrderStore as _, SearchIndex as _};
use tempfile::TempDir;

async fn on_fresh_log(case: impl AsyncFnOnce(&SqliteLog)) {
    let folder = TempDir::new().unwrap();
    let log = SqliteLog::open(&folder.path().join("log.db")).await.unwrap();
    log.prepare(contract::event_log::SETTINGS).await.unwrap();
    case(&log).await;
}

async fn on_fresh_store(case: impl AsyncFnOnce(&SqliteStore)) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
    store.prepare().await.unwrap();
    case(&store).await;
}

async fn on_fresh_index(case: impl AsyncFnOnce(&SqliteSearch)) {
    let folder = TempDir::new().unwrap();
    let index = SqliteSearch::open(&folder.path().join("search.db")).await.unwrap();
    index.prepare().await.unwrap();
    case(&index).await;
}

contract::event_log!(on_fresh_log);
contract::order_store!(on_fresh_store);
contract::delivery_store!(on_fresh_store);
contract::timer_store!(on_fresh_store);
contract::dead_letters!(on_fresh_store);
contract::audits!(on_fresh_store);
contract::generations!(on_fresh_store);
contract::kept_transitions!(on_fresh_index);
contract::metric_stream!(on_fresh_index);
contract::search_generations!(on_fresh_index);
contract::search_index!(on_fresh_index);
contract::transition_stream!(on_fresh_index);
