//! What only a file shows of the search index: two processes that use it, and the tables of one that took another's place.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::path::Path;

use adapter_embedded::SqliteSearch;
use ports::{OrderDocument, SearchGenerations as _, SearchIndex as _};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use testkit::sample::{folded, order_id, placed};

fn documents(count: u64) -> Vec<OrderDocument> {
    (1..=count).map(|n| OrderDocument::from(&folded(&[placed(order_id(n))]))).collect()
}

async fn schema(path: &Path) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let names = "SELECT type || ' ' || name || ' on ' || tbl_name FROM sqlite_schema ORDER BY 1";
    sqlx::query_scalar(names).fetch_all(&mut connection).await.unwrap()
}

/// Each hears at once where the other has moved what is written and read.
#[tokio::test]
async fn two_processes_share_an_index() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("search.db");
    let (one, other) =
        (SqliteSearch::open(&path).await.unwrap(), SqliteSearch::open(&path).await.unwrap());
    other.upsert(&documents(1)).await.unwrap();
    let new = one.create().await.unwrap();
    new.upsert(&documents(2)).await.unwrap();
    new.take_writes().await.unwrap();
    assert!(other.unfinished().await.unwrap().is_some());
    other.upsert(&documents(3)).await.unwrap();
    assert_eq!(other.count_by_state().await.unwrap().remove(0).1, 1);
    new.take_reads().await.unwrap();
    for index in [&one, &other] {
        assert_eq!(index.count_by_state().await.unwrap().remove(0).1, 3);
    }
    other.upsert(&documents(4)).await.unwrap();
    assert_eq!(one.count_by_state().await.unwrap().remove(0).1, 4);
}

/// Nothing is left over, and no way to find an order fast is lost.
#[tokio::test]
async fn a_new_index_is_made_like_the_former() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("search.db");
    let index = SqliteSearch::open(&path).await.unwrap();
    index.upsert(&documents(5)).await.unwrap();
    let before = schema(&path).await;
    assert!(before.contains(&"index documents_newest on documents".to_owned()), "{before:?}");
    for _ in 0..3 {
        let _left = index.create().await.unwrap();
        let new = index.create().await.unwrap();
        new.upsert(&documents(5)).await.unwrap();
        new.take_reads().await.unwrap();
        assert_eq!(schema(&path).await, before);
    }
}

#[tokio::test]
async fn customers_can_be_kept_as_hashes() {
    let folder = TempDir::new().unwrap();
    let index = SqliteSearch::open(&folder.path().join("search.db")).await.unwrap();
    contract::search_index::hashed_customers_are_found_and_not_told(index).await;
}
