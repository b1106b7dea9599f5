//! A log that has orders, and a state store that has none: there is nothing to look at, and a replay fills it.

use events::OrderId;
use sqlx::AssertSqlSafe;

use crate::{
    by_hand::Said,
    client::{connect, order as new_order},
    folder::{Folder, order},
    installation::Installation,
    process::{Process, binary},
};

const EMPTY: &str = "the live state was empty";

async fn run(installation: &Installation, verb: &[&str]) -> Said {
    binary().args(verb).args(installation.args()).output().await.unwrap().into()
}

#[tokio::test]
async fn a_lost_schema_is_no_damage_and_is_built_from_the_log() {
    let installation = Installation::new("first-replay").await;
    let mut serve = Process::serve("before", &installation.args());
    serve.ready().await;
    let server = serve.grpc().await;
    let mut client = connect(&server).await;
    let placed = client.place_order(new_order(&installation, 1)).await.unwrap().into_inner();
    let id: OrderId = placed.order_id.parse().unwrap();
    order(&server, &["pay", &id.to_string(), "--wait"]).await.done();
    serve.stop().await;
    let lost = format!("DROP SCHEMA {} CASCADE", installation.schema());
    sqlx::raw_sql(AssertSqlSafe(lost)).execute(&installation.pool().await).await.unwrap();

    for verb in [&["replay", "status"][..], &["dead-letters", "list"], &["verify"]] {
        let said = run(&installation, verb).await;
        let none = said.stderr.contains("there is no ledger") && !said.stderr.contains("damaged");
        assert!(said.code == 1 && none, "{verb:?}: {}", said.stderr);
    }
    let said = run(&installation, &["replay"]).await;
    assert!(said.stderr.contains(EMPTY), "{}", said.stderr);
    assert!(said.done().contains("generation 2 is live"));

    let mut serve = Process::serve("after", &installation.args());
    serve.ready().await;
    let server = serve.grpc().await;
    let prepared = order(&server, &["prepare", &id.to_string(), "--wait"]).await.done();
    assert!(prepared.ends_with("version 3\n"), "{prepared}");
    let verified = run(&installation, &["verify", "--documents", "none"]).await.done();
    assert!(verified.contains("every record is accounted for"), "{verified}");
    // A table alone that is gone is damage.
    serve.stop().await;
    let lost = format!("DROP TABLE {}.dead_letters CASCADE", installation.schema());
    sqlx::raw_sql(AssertSqlSafe(lost)).execute(&installation.pool().await).await.unwrap();
    let said = run(&installation, &["dead-letters", "list"]).await;
    assert!(said.code == 1 && said.stderr.contains("the store is damaged"), "{}", said.stderr);
    installation.remove().await;
}

#[tokio::test]
async fn lost_files_are_built_from_the_log() {
    let folder = Folder::new();
    let mut serve = folder.serving("before").await;
    let id = folder.place(&serve.grpc().await).await.to_string();
    serve.stop().await;
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let file = folder.data().join(name);
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let refusal = folder.refusal(&["replay"]).await;
    assert!(refusal.contains("there is no ledger"), "{refusal}");
    // Never bound to partitions: not even `migrate` had it.
    std::fs::write(folder.data().join("state.db"), "").unwrap();
    let said = folder.run(&["replay"]).await;
    assert!(said.stderr.contains(EMPTY), "{}", said.stderr);
    assert!(said.done().contains("generation 2 is live"));
    // It is not empty any more.
    let said = folder.run(&["replay"]).await;
    assert_eq!((said.code, said.stderr.contains(EMPTY)), (0, false), "{}", said.stderr);

    let mut serve = folder.serving("after").await;
    let paid = order(&serve.grpc().await, &["pay", &id, "--wait"]).await.done();
    assert!(paid.ends_with("version 2\n"), "{paid}");
    folder.verified().await;
    serve.stop().await;
}
