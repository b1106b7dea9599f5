//! Folders that an earlier version left: the live generation is in the store's own file, whichever number it has, and the
//! retired one is a copy in a file of its number.

use std::path::Path;

use contract::{dead_letters::letter, order_store::batch};
use events::Event;
use ports::{
    Consumer, DeadLetters as _, Generations as _, NewGeneration, OrderStore as _, Stage,
    StoredSnapshot,
};
use tempfile::TempDir;
use testkit::sample::{at, captured, order_id, placed};

use super::{Database, MIGRATIONS, SqliteStore};

/// Those from before each generation had a file.
const BEFORE: usize = 7;

/// A store of that version. What it does with one generation has not changed since.
async fn before(path: &Path) -> SqliteStore {
    let database = Database::open(path, &MIGRATIONS[..BEFORE]).await.unwrap();
    let store = SqliteStore { database, path: path.to_owned(), live: None };
    store.bind_partitions(2).await.unwrap();
    store
}

fn events() -> [Event; 3] {
    [placed(order_id(1)), placed(order_id(2)), captured(order_id(1))]
}

async fn everything(store: &SqliteStore) -> Vec<StoredSnapshot> {
    store.scan(None, 9).await.unwrap()
}

/// After one cut: the first one is retired, and has one record less.
async fn left(folder: &Path) {
    let retired = before(&folder.join("state-g1.db")).await;
    retired.commit(&batch(0, 0, &events()[..2])).await.unwrap();
    // It was copied with all that was there.
    retired.keep(&[letter(Consumer::Search, 5)]).await.unwrap();
    let live = before(&folder.join("state.db")).await;
    live.commit(&batch(0, 0, &events())).await.unwrap();
    live.keep(&[letter(Consumer::Search, 5), letter(Consumer::Projector, 6)]).await.unwrap();
    let cut = "UPDATE generations SET stage = 'retired' WHERE number = 1;
               INSERT INTO generations (number, stage, fold_version, kept, created_at, live_at, live_offsets)
                   SELECT 2, 'live', fold_version, 0, created_at, created_at, '[2,0]' FROM generations";
    sqlx::raw_sql(cut).execute(&live.database.writer).await.unwrap();
    std::fs::write(folder.join("state-g2.copy"), "").unwrap();
    std::fs::write(folder.join("state-g2.db"), "").unwrap();
}

async fn stages(store: &SqliteStore) -> Vec<(u32, Stage)> {
    let all = store.generations().await.unwrap();
    all.iter().map(|generation| (generation.number, generation.stage)).collect()
}

#[tokio::test]
async fn a_folder_of_the_version_before_goes_on() {
    let folder = TempDir::new().unwrap();
    left(folder.path()).await;
    let store = SqliteStore::open(&folder.path().join("state.db")).await.unwrap();
    store.prepare().await.unwrap();
    store.bind_partitions(2).await.unwrap();
    assert_eq!(stages(&store).await, [(1, Stage::Retired), (2, Stage::Live)]);
    assert_eq!(store.history(order_id(1)).await.unwrap().len(), 2);
    assert_eq!(store.count().await.unwrap(), 2);
    store.commit(&batch(0, 3, &[placed(order_id(3))])).await.unwrap();
    let live = everything(&store).await;

    // Back to the first, and forth again: the one that comes back is in the store's own file.
    let retired = store.open(1).await.unwrap();
    assert_eq!(retired.scan(None, 9).await.unwrap().len(), 2);
    retired.commit(&batch(0, 2, &[placed(order_id(4)), placed(order_id(5))])).await.unwrap();
    drop(retired);
    store.begin_cut(1).await.unwrap().finish(at(9), false).await.unwrap();
    assert_eq!(stages(&store).await, [(1, Stage::Live), (2, Stage::Retired)]);
    assert_eq!(everything(&store).await.len(), 4);
    assert_eq!(store.count().await.unwrap(), 1, "that of search: it belongs to no generation");
    store.begin_cut(2).await.unwrap().finish(at(10), false).await.unwrap();
    assert_eq!(everything(&store).await, live);
    assert_eq!(store.count().await.unwrap(), 2);

    // What is new is beside the files that are there, and what was left over is gone.
    let new = NewGeneration { partitions: 2, kept: false, created_at: at(11) };
    let number = store.create(new).await.unwrap();
    let file = |name: &str| folder.path().join(name).exists();
    assert_eq!((number, file("state-g3.db")), (3, true));
    assert_eq!(
        (file("state-g1.db"), file("state-g2.db"), file("state-g2.copy")),
        (true, false, false)
    );
    assert_eq!(everything(&store).await, live);
    store.remove(1).await.unwrap();
    assert!(!file("state-g1.db"));
    assert_eq!(everything(&store).await, live);
}
