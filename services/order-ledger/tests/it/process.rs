//! A process of the built binary: its addresses, its end, and what it said.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use testkit::wait_for;
use tokio::process::{Child, Command};

/// How long anything may take before a test gives up: generous, because two cores run everything at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-ledger"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ORDER_LEDGER_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// `order-ledger serve`, running.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `serve` with these arguments; its log goes to a file of its own.
    pub(crate) fn serve(name: &str, args: &[String]) -> Self {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{}.log", testkit::servers::unique(name)));
        let child = binary()
            .arg("serve")
            .args(args)
            .args(["--log-format", "json", "--grpc-addr", "127.0.0.1:0"])
            .args(["--http-addr", "127.0.0.1:0"])
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { name: name.to_owned(), child, log }
    }

    /// Where gRPC listens, once it does.
    pub(crate) async fn grpc(&mut self) -> String {
        self.address("gRPC listens").await
    }

    /// Where HTTP listens, once it does.
    pub(crate) async fn http(&mut self) -> String {
        self.address("HTTP listens").await
    }

    /// Waits until every role of the process serves.
    pub(crate) async fn ready(&mut self) {
        let url = format!("{}/readyz", self.http().await);
        let name = self.name.clone();
        wait_for(
            &format!("{name} serves; its log is {}", self.log.display()),
            PATIENCE,
            async || {
                self.must_live();
                let answer = reqwest::get(&url).await.ok()?;
                answer.status().is_success().then_some(())
            },
        )
        .await;
    }

    /// What `/readyz` says: its status, and a line a role.
    pub(crate) async fn readiness(&mut self) -> (u16, String) {
        let answer = reqwest::get(format!("{}/readyz", self.http().await)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of a metric, summed over its labels; 0 if it was never counted.
    pub(crate) async fn metric(&mut self, name: &str) -> f64 {
        let answer = reqwest::get(format!("{}/metrics", self.http().await)).await.unwrap();
        let text = answer.text().await.unwrap();
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines()
            .filter(of_name)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap();
        (status, fs::read_to_string(&self.log).unwrap())
    }

    /// SIGTERM, and the end that must follow: exit 0.
    pub(crate) async fn stop(self) {
        let name = self.name.clone();
        self.terminate();
        let (status, log) = self.end().await;
        assert!(status.success(), "{name} ended with {status}:\n{log}");
    }

    /// The fields of the first log line with that message, once it is written.
    pub(crate) async fn says(&mut self, message: &str) -> Value {
        let log = self.log.clone();
        wait_for(&format!("{} says {message:?}", self.name), PATIENCE, async || {
            self.must_live();
            fs::read_to_string(&log).unwrap().lines().find_map(|line| {
                let mut line: Value = serde_json::from_str(line).ok()?;
                (line["fields"]["message"] == message).then(|| line["fields"].take())
            })
        })
        .await
    }

    async fn address(&mut self, message: &str) -> String {
        format!("http://{}", self.says(message).await["address"].as_str().unwrap())
    }

    fn must_live(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = fs::read_to_string(&self.log).unwrap();
            panic!("{} ended with {status}:\n{log}", self.name);
        }
    }
}
