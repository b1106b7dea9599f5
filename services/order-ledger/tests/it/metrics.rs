//! `/metrics` of running processes and `docs/metrics.md`: neither has what the other has not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use testkit::wait_for;

use crate::{
    client::{order_of, place},
    folder::Folder,
    installation::Installation,
    process::{PATIENCE, Process},
};

/// A metric as the docs have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
    help: String,
}

/// A metric as a process exposes it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// Name, labels and value of each sample.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every metric of `docs/metrics.md`.
pub(crate) fn described() -> BTreeMap<String, Described> {
    let docs = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (name, row) = row.split_once("` | ").unwrap();
        let cells: Vec<_> = row.trim_end_matches(" |").splitn(3, " | ").collect();
        let labels = cells[1].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let (kind, help) = (cells[0].to_owned(), cells[2].to_owned());
        (name.to_owned(), Described { kind, labels, help })
    })
    .collect()
}

/// Parses Prometheus' text format, strictly: a line that is not understood fails the test.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.kind.is_empty(), "{name} is there twice");
            family.kind = kind.to_owned();
            name.clone_into(&mut current);
        } else {
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("astray: {line}"));
            let family = families.get_mut(&current).unwrap();
            let suffixes: &[&str] =
                if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line} is no {}", family.kind);
            assert_eq!(labels.contains_key("le"), suffix == "_bucket", "{line}");
            family.samples.push((name, labels, value));
        }
    }
    families
}

/// `name{label="value",…} value`. No value of ours holds a comma, a quote or a backslash.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels.strip_suffix('}').unwrap().split(',').map(|label| {
        let (name, value) = label.split_once('=').unwrap();
        let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        (name.to_owned(), value.to_owned())
    });
    (name.to_owned(), labels.collect(), value)
}

/// What a process exposes, after it was found to be what the docs say.
async fn exposed(process: &mut Process) -> BTreeMap<String, Family> {
    let url = format!("{}/metrics", process.http().await);
    let answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
    let format = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(format.starts_with("text/plain; version=0.0.4"), "{format}");
    let families = parse(&answer.text().await.unwrap());
    let described = described();
    let names = |families: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
        families.cloned().collect()
    };
    assert_eq!(names(&mut families.keys()), names(&mut described.keys()));
    for (name, family) in &families {
        let described = &described[name];
        assert_eq!((&family.kind, &family.help), (&described.kind, &described.help), "{name}");
        for (_, labels, value) in &family.samples {
            let labels = labels.keys().filter(|label| *label != "le").cloned().collect();
            assert_eq!(described.labels, labels, "labels of {name}");
            assert!(value.is_finite() && *value >= 0.0, "{name} is {value}");
        }
    }
    families
}

impl Family {
    /// The values by one label.
    fn by(&self, label: &str) -> BTreeMap<&str, f64> {
        self.samples.iter().map(|(_, labels, value)| (labels[label].as_str(), *value)).collect()
    }

    fn value(&self) -> f64 {
        let [(_, _, value)] = self.samples.as_slice() else { panic!("{self:?} has one value") };
        *value
    }
}

#[tokio::test]
async fn a_process_on_embedded_parts_exposes_what_the_docs_list() {
    let folder = Folder::new();
    let mut process = folder.serving("metrics").await;
    let server = tokio::sync::watch::channel(process.grpc().await).1;
    for n in 0..3 {
        place(&server, order_of("metrics", n)).await;
    }
    wait_for("everything is worked off and measured", PATIENCE, async || {
        let folded = process.metric("order_ledger_projector_events_total").await;
        let mailed = process.metric("order_ledger_mails_total").await;
        // Measured last of all.
        let url = format!("{}/metrics", process.http().await);
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        let measured = text.contains("\norder_ledger_timers_overdue ");
        (folded >= 3.0 && mailed >= 3.0 && measured).then_some(())
    })
    .await;

    let families = exposed(&mut process).await;
    assert!(families["order_ledger_orders_placed_total"].value() >= 3.0);
    let ready = families["order_ledger_role_ready"].by("role");
    assert_eq!(ready.len(), 5);
    assert!(ready.values().all(|ready| *ready == 1.0), "{ready:?}");
    let lag = families["order_ledger_projector_lag_records"].by("partition");
    assert_eq!(lag.len(), 4);
    let dead = families["order_ledger_dead_letters_open"].by("consumer");
    assert_eq!(dead.into_iter().collect::<Vec<_>>(), CONSUMERS.map(|consumer| (consumer, 0.0)));
    let mails = families["order_ledger_mails_total"].by("outcome");
    assert_eq!(mails["failed"], 0.0, "there before the first fails: an alert must see it rise");
    assert!(families["order_ledger_store_connections_max"].value() >= 2.0);
    assert!(families["order_ledger_data_size_bytes"].value() > 0.0);
    assert!(families["process_resident_memory_bytes"].value() > 1e6);
    assert!(families["process_cpu_seconds_total"].value() > 0.0);
    process.stop().await;
}

const CONSUMERS: [&str; 4] = ["fulfilment", "mailer", "projector", "search"];

#[tokio::test]
async fn a_process_on_real_servers_exposes_the_same() {
    let installation = Installation::new("metrics").await;
    let mut process = Process::serve("metrics", &installation.args());
    process.ready().await;
    wait_for("Kafka's client told of its queue", PATIENCE, async || {
        let max = process.metric("order_ledger_log_queue_max_records").await;
        let connections = process.metric("order_ledger_store_connections").await;
        (max > 0.0 && connections > 0.0).then_some(())
    })
    .await;
    let families = exposed(&mut process).await;
    assert_eq!(families["order_ledger_store_connections_waiting"].samples.len(), 1);
    assert_eq!(families["order_ledger_store_connections_max"].value(), 4.0);
    assert!(families["order_ledger_data_size_bytes"].samples.is_empty(), "nothing is kept there");
    process.stop().await;
    installation.remove().await;
}

/// The sources of every crate, those of tests left out.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("telemetry") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn whatever_is_counted_anywhere_is_described() {
    let described = described();
    let mut files = Vec::new();
    sources(&root().join("services"), &mut files);
    let mut counted = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for kind in ["counter", "gauge", "histogram"] {
            for call in text.split(&format!("metrics::{kind}!(")).skip(1) {
                let call = call.split_once(')').unwrap().0;
                let name = call.split('"').nth(1).unwrap();
                let metric = described.get(name).unwrap_or_else(|| panic!("{name} is not listed"));
                assert_eq!(metric.kind, kind, "{name} in {}", file.display());
                let labels = call.split("=>").map(|part| part.rsplit('"').nth(1).unwrap_or(""));
                for label in labels.take(call.matches("=>").count()) {
                    assert!(metric.labels.contains(label), "{name} has {label}");
                }
                counted += 1;
            }
        }
    }
    assert!(counted > 30, "only {counted} were found");
}
