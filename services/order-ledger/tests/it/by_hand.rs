//! A server on this machine alone and the verbs of `order-ledger order` against it.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::process::{PATIENCE, Process, binary};

/// The first of the sample orders: CLP, two lines of one piece each.
pub(crate) const ORDER: &str = include_str!("../../sample/orders.jsonl");

/// One process with every role and a folder of its own.
pub(crate) struct Desk {
    folder: TempDir,
    process: Process,
    server: String,
}

/// How a verb ended: its exit code and what it wrote.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// What it wrote, if it succeeded.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The one document on stderr of a verb that failed.
    pub(crate) fn failure(&self) -> Value {
        assert_eq!(self.stdout, "");
        serde_json::from_str(&self.stderr).unwrap()
    }
}

impl Desk {
    pub(crate) async fn open(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data").to_str().unwrap().to_owned();
        let mut process = Process::serve(name, &["--data".to_owned(), data]);
        process.ready().await;
        let server = process.grpc().await;
        Self { folder, process, server }
    }

    /// Where gRPC listens.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) async fn close(self) {
        self.process.stop().await;
    }

    /// SIGKILL for the server.
    pub(crate) async fn kill_server(self) {
        self.process.kill().await;
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs a verb.
    pub(crate) async fn order(&self, args: &[&str]) -> Said {
        let patient = ["order", "--server", &self.server, "--timeout", "60"];
        let output = binary().args(patient).args(args).current_dir(self.folder.path()).output();
        output.await.unwrap().into()
    }

    /// The one document of a verb that succeeded.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let said = self.order(&[args, &["--output", "json"]].concat()).await;
        serde_json::from_str(&said.done()).unwrap()
    }

    /// Runs a verb with that on its standard input.
    pub(crate) async fn order_with_input(&self, args: &[&str], input: &str) -> Said {
        let mut child = piped(&self.server, args);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap().into()
    }

    /// Starts a verb whose lines are read while it runs.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        start(&self.server, args)
    }

    /// Places the first sample order and waits until it is an order.
    pub(crate) async fn place(&self) -> String {
        let file = self.file("order.json", ORDER.lines().next().unwrap());
        let file = path(&file);
        let placed = self.order(&["place", "--order", file, "--wait"]).await.done();
        placed.trim().to_owned()
    }
}

/// Starts a verb whose lines are read while it runs.
pub(crate) fn start(server: &str, args: &[&str]) -> Running {
    let mut child = piped(server, args);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stdin = child.stdin.take().unwrap();
    Running { child, stdin, lines }
}

fn piped(server: &str, args: &[&str]) -> Child {
    let mut command = binary();
    command.args(["order", "--server", server, "--timeout", "60"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A verb that goes on.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Gives it more on its standard input, which stays open.
    pub(crate) async fn write(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).await.unwrap();
    }

    /// Its next line.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("it says something in time").unwrap().expect("it goes on")
    }

    /// The document in its next line.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// SIGTERM, as a person's Ctrl-C.
    pub(crate) async fn stop(self) -> Said {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.end().await
    }

    /// How it ends.
    pub(crate) async fn end(self) -> Said {
        let _open = self.stdin;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await;
        ended.expect("it ends in time").unwrap().into()
    }
}

/// As an argument.
pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
