//! What happens beside a cut.

use std::{pin::pin, time::Duration};

use contract::order_store::batch;
use events::Digest;
use ports::{
    Commit, Consumer, DeadLetter, DeadLetterReason, DeadLetters as _, Epoch, Generations as _,
    LetterFilter, LetterStatus, LogRecord, NewGeneration, Offset, OrderStore as _, Partition,
    PartitionCommit, Place, Position,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testkit::{
    sample::{at, order_id, placed},
    wait_for,
};

use crate::schema::on_fresh_schema;

fn letter() -> DeadLetter {
    DeadLetter {
        consumer: Consumer::Projector,
        record: LogRecord {
            position: Position { partition: Partition(0), offset: Offset(1) },
            appended_at: Some(at(0)),
            key: None,
            value: None,
            headers: Vec::new(),
        },
        reason: DeadLetterReason::NoValue,
        detail: "has no value".to_owned(),
        at: at(1),
        parks: Some(order_id(1)),
        status: LetterStatus::Open,
    }
}

/// Waits until someone waits for a lock on a table.
async fn until_waited_for(connection: &mut PgConnection, table: &str) {
    wait_for(&format!("{table} is waited for"), Duration::from_secs(60), async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass",
        )
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
        (waiting > 0).then_some(())
    })
    .await;
}

/// It is not written to a row that the cut is about to throw away: it waits, and counts in the generation that is live then.
#[tokio::test]
async fn a_decision_that_is_made_during_a_cut_is_kept() {
    on_fresh_schema(async |store, connection| {
        store.bind_partitions(1).await.unwrap();
        let live = Commit { dead_letters: vec![letter()], ..batch(0, 0, &[placed(order_id(1))]) };
        store.commit(&live).await.unwrap();
        let new = NewGeneration { partitions: 1, kept: false, created_at: at(1) };
        let number = store.create(new).await.unwrap();
        let beside = store.open(number).await.unwrap();
        beside.load_rows(&Commit { partitions: Vec::new(), ..live }).await.unwrap();
        beside.finish_loading().await.unwrap();
        let step = PartitionCommit {
            partition: Partition(0),
            expected: Place { next: Offset::START, epoch: Epoch::FIRST },
            next: Offset(1),
            announced: Offset::START,
            digest: Digest::ZERO,
        };
        let loaded = Commit { partitions: vec![step], ..Commit::default() };
        beside.commit(&loaded).await.unwrap();
        store.loaded(number).await.unwrap();
        drop(beside);

        let cut = store.begin_cut(number).await.unwrap();
        let schema: String = sqlx::query_scalar("SELECT current_schema()::text")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        // The cut has taken over what was decided, and is yet to throw away the letters of the live one.
        let retired = format!("{schema}_g1.dead_letters");
        let mut blocker = connection.begin().await.unwrap();
        let lock = format!("LOCK TABLE {retired} IN SHARE MODE");
        blocker.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.unwrap();
        let finish = cut.finish(at(9), false);
        let decide = async {
            until_waited_for(&mut blocker, &retired).await;
            let live = format!("{schema}.dead_letters");
            let mut decide = pin!(store.decide(letter().key(), LetterStatus::Retry));
            let early = tokio::select! {
                decided = &mut decide => Some(decided),
                () = until_waited_for(&mut blocker, &live) => None,
            };
            blocker.rollback().await.unwrap();
            match early {
                Some(decided) => decided,
                None => decide.await,
            }
        };
        let (cut, decided) = tokio::join!(finish, decide);
        cut.unwrap();
        assert_eq!(decided.unwrap(), Some(LetterStatus::Retry));
        let letters = store.letters(&LetterFilter::default(), None, 9).await.unwrap();
        assert_eq!(letters, [DeadLetter { status: LetterStatus::Retry, ..letter() }]);
    })
    .await;
}
