//! Where the real servers are. Each can be set by environment; without it, the addresses of `infra/local/up` are
//! taken. A server that does not answer fails the test that needs it: nothing is skipped.

use std::{
    env,
    hash::{BuildHasher as _, RandomState},
    net::{TcpStream, ToSocketAddrs as _},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Kafka as `host:port`: `ORDER_LEDGER_TEST_KAFKA`.
#[must_use]
pub fn kafka() -> String {
    reachable("Kafka", "ORDER_LEDGER_TEST_KAFKA", "127.0.0.1:19092")
}

/// Postgres as a URL with a user who may create schemas: `ORDER_LEDGER_TEST_POSTGRES`.
#[must_use]
pub fn postgres() -> String {
    reachable(
        "Postgres",
        "ORDER_LEDGER_TEST_POSTGRES",
        "postgres://postgres@127.0.0.1:15432/postgres",
    )
}

/// Elasticsearch as a URL: `ORDER_LEDGER_TEST_ELASTICSEARCH`.
#[must_use]
pub fn elasticsearch() -> String {
    reachable("Elasticsearch", "ORDER_LEDGER_TEST_ELASTICSEARCH", "http://127.0.0.1:19200")
}

/// Mailpit's SMTP side as a URL: `ORDER_LEDGER_TEST_SMTP`.
#[must_use]
pub fn smtp() -> String {
    reachable("Mailpit (SMTP)", "ORDER_LEDGER_TEST_SMTP", "smtp://127.0.0.1:11025")
}

/// Mailpit's HTTP side as a URL: `ORDER_LEDGER_TEST_MAILPIT`.
#[must_use]
pub fn mailpit() -> String {
    reachable("Mailpit (HTTP)", "ORDER_LEDGER_TEST_MAILPIT", "http://127.0.0.1:18025")
}

/// A name that no other test has, now or on an earlier run: lower-case, good for topics, schemas and indices alike.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let count = MADE.fetch_add(1, Ordering::Relaxed);
    // RandomState is seeded by the operating system once a process: no clock and no id source is needed.
    let noise = RandomState::new().hash_one((std::process::id(), count));
    format!("{prefix}_{noise:016x}")
}

fn reachable(server: &str, variable: &str, default: &str) -> String {
    let address = env::var(variable).unwrap_or_else(|_| default.to_owned());
    if let Err(error) = connect(&address) {
        panic!(
            "{server} does not answer at {address} ({error}): start it with infra/local/up (needs JDK 21+, Maven, \
             Go, Python 3), or say where it is in {variable}"
        );
    }
    address
}

fn connect(address: &str) -> std::io::Result<()> {
    let mut last = std::io::Error::other("it names no host and port");
    for candidate in host_and_port(address).to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, Duration::from_secs(5)) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The `host:port` of a URL, or of a list of brokers the first.
fn host_and_port(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', ',']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_host_in_every_form_of_address() {
        for (address, host) in [
            ("127.0.0.1:19092", "127.0.0.1:19092"),
            ("a:1,b:2", "a:1"),
            ("postgres://user:p@h:5432/db?sslmode=require", "h:5432"),
            ("smtp://127.0.0.1:11025", "127.0.0.1:11025"),
        ] {
            assert_eq!(host_and_port(address), host, "{address}");
        }
    }

    #[test]
    fn names_are_never_the_same() {
        assert_ne!(unique("t"), unique("t"));
    }
}
