//! A data folder that outlives the processes which use it, and what is said to the binary about it.

use std::path::PathBuf;

use events::OrderId;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use testkit::wait_for;
use tokio::process::Command;

use crate::{
    by_hand::{ORDER, Said, path},
    process::{PATIENCE, Process, binary},
};

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Where the files are.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Starts `serve` with all roles, or as it is told.
    pub(crate) fn serve(&self, name: &str, more: &[&str]) -> Process {
        let data = self.data();
        let args = [&["--data", path(&data)], more].concat();
        Process::serve(name, &args.into_iter().map(str::to_owned).collect::<Vec<_>>())
    }

    /// `serve`, once every role serves.
    pub(crate) async fn serving(&self, name: &str) -> Process {
        let mut process = self.serve(name, &[]);
        process.ready().await;
        process
    }

    /// A verb that is told of the folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = binary();
        command.args(args).arg("--data").arg(self.data());
        command
    }

    /// Runs a verb to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().await.unwrap().into()
    }

    /// The one document of a verb that succeeded.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--output", "json"]].concat()).await;
        serde_json::from_str(&said.done()).unwrap()
    }

    /// Runs a verb that must fail; what it says on stderr.
    pub(crate) async fn refusal(&self, args: &[&str]) -> String {
        let said = self.run(args).await;
        assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
        said.stderr
    }

    /// Runs a statement on one of the files, behind everyone's back.
    pub(crate) async fn sql(&self, file: &str, statement: &str) -> u64 {
        let options = SqliteConnectOptions::new().filename(self.data().join(file));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    /// A number that a query on one of the files gives.
    pub(crate) async fn count(&self, file: &str, query: &str) -> i64 {
        let options = SqliteConnectOptions::new().filename(self.data().join(file));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap()
    }

    /// Waits until every mail is sent; how many there are.
    pub(crate) async fn mailed(&self) -> usize {
        wait_for("every mail is sent", PATIENCE, async || {
            let pending = "SELECT count(*) FROM deliveries WHERE status = 'pending'";
            (self.count("state.db", pending).await == 0).then_some(())
        })
        .await;
        std::fs::read_dir(self.data().join("outbox")).unwrap().count()
    }

    /// Places the first sample order and waits until it is an order.
    pub(crate) async fn place(&self, server: &str) -> OrderId {
        let file = self.0.path().join("order.json");
        std::fs::write(&file, ORDER.lines().next().unwrap()).unwrap();
        let placed = order(server, &["place", "--order", path(&file), "--wait"]).await.done();
        placed.trim().parse().unwrap()
    }

    /// Waits until all that is stored and indexed is what the log says; the counts.
    pub(crate) async fn verified(&self) -> Value {
        wait_for("everything is as the log says", PATIENCE, async || {
            let verify = ["verify", "--documents", "all", "--output", "json"];
            let said = self.run(&verify).await;
            let mut found: Value = serde_json::from_str(said.stdout.lines().last()?).ok()?;
            let clean = said.code == 0 && found["verified"]["behind"] == 0;
            clean.then(|| found["verified"].take())
        })
        .await
    }
}

/// Runs a verb of `order-ledger order`.
pub(crate) async fn order(server: &str, args: &[&str]) -> Said {
    let patient = ["order", "--server", server, "--timeout", "60"];
    binary().args(patient).args(args).output().await.unwrap().into()
}
