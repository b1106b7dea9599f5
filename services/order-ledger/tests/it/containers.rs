//! `infra/compose.yaml` and the image files that it names, as Docker would read them, fit each other and the program. Nothing
//! is started here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{metrics::root, process::binary};

#[derive(Deserialize)]
struct Containers {
    compose: Value,
    /// The stages of each image that is built.
    images: BTreeMap<String, Vec<Stage>>,
}

/// One `FROM` of an image file and what follows it.
#[derive(Deserialize)]
struct Stage {
    base: String,
    copies: Option<Vec<PathBuf>>,
    user: String,
    env: BTreeMap<String, String>,
    ports: Option<Vec<String>>,
    checks: bool,
    starts: Option<Vec<String>>,
}

/// What `infra/containers` makes of the files; it refuses what Docker would refuse or warn of.
static CONTAINERS: LazyLock<Containers> = LazyLock::new(|| {
    let read = Command::new("go")
        .args(["run", "."])
        .current_dir(root().join("infra/containers"))
        .stderr(Stdio::piped())
        .output()
        .expect("Go is installed: see README.md");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
});

/// Every file that the product's crates compile in from outside of them.
fn compiled_in(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            compiled_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("include_str!(\"").skip(1) {
                let file = folder.join(part.split_once('"').unwrap().0);
                found.insert(plain(&file).strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
}

/// The same path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => assert!(plain.pop()),
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn the_image_has_all_that_is_compiled_in() {
    let images = &CONTAINERS.images;
    let stages = &images["order-ledger"];
    let copied: Vec<_> = stages.iter().flat_map(|stage| stage.copies.iter().flatten()).collect();
    let mut files = BTreeSet::new();
    for folder in ["events", "services", "proto"] {
        compiled_in(&root().join(folder), &mut files);
    }
    assert!(files.iter().any(|file| file.starts_with("infra/elasticsearch")), "{files:?}");
    for file in files {
        assert!(copied.iter().any(|copied| file.starts_with(copied)), "{} lacks", file.display());
    }
}

fn assert_pinned(image: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} is not pinned"));
    assert!(tag.contains(|c: char| c.is_ascii_digit()), "{image} is not pinned");
}

#[test]
fn what_compose_starts_is_pinned_and_checked_and_out_of_reach_of_other_machines() {
    let Containers { compose, images } = &*CONTAINERS;
    for (name, service) in compose["services"].as_object().unwrap() {
        if let Some(image) = service["image"].as_str() {
            assert_pinned(image);
            assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
        } else {
            assert!(images.contains_key(name), "{name} is nowhere from");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
        }
        // Of volumes and services that are named, Compose itself says whether they are there.
        for mount in service["volumes"].as_array().into_iter().flatten() {
            if mount["type"] == "bind" {
                let from = mount["source"].as_str().unwrap();
                assert!(Path::new(from).exists(), "{name} mounts {from}");
                assert_eq!(mount["read_only"], true, "{name} could write {from}");
            }
        }
    }
}

#[test]
fn the_image_is_built_in_stages_and_runs_without_root() {
    let images = &CONTAINERS.images;
    for Stage { base, .. } in images.values().flatten() {
        assert_pinned(base);
    }
    for (name, stages) in images {
        let last = stages.last().unwrap();
        assert!(!["", "0", "root"].contains(&&*last.user), "{name} runs as root");
        assert!(last.checks, "{name} has no health check");
    }
    let [build, image] = &images["order-ledger"][..] else { panic!("not two stages") };
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(build.base.contains(rust.trim_matches('"')), "{} is not Rust {rust}", build.base);
    assert!(image.base.ends_with("-slim") && image.copies.is_none(), "{}", image.base);
    assert_eq!(image.starts.as_deref(), Some(&["order-ledger".to_owned()][..]));
}

/// The host and port of each server that a URL names.
fn servers(url: &str) -> Vec<(&str, &str)> {
    let (_, rest) = url.split_once("://").unwrap();
    let hosts = rest.split('/').next().unwrap().rsplit('@').next().unwrap();
    hosts.split(',').map(|host| host.split_once(':').unwrap()).collect()
}

#[tokio::test]
async fn compose_starts_the_program_on_servers_that_are_there() {
    let Containers { compose, images } = &*CONTAINERS;
    let image = images["order-ledger"].last().unwrap();
    let app = &compose["services"]["order-ledger"];
    let of_compose = app["environment"].as_object().unwrap();
    let of_compose = of_compose.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
    let env = image.env.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let env: BTreeMap<_, _> = env.chain(of_compose).collect();

    // The program takes all of it, and nothing of it for something else.
    let shown = binary().arg("config").envs(&env).output().await.unwrap();
    let (shown, error) =
        (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(error.is_empty(), "{error}");
    for (key, value) in &env {
        let taken = shown.lines().any(|line| line.ends_with(&format!("# {key}")));
        assert!(taken, "{key}={value} is not in\n{shown}");
    }

    for (key, url) in env.iter().filter(|(_, value)| value.contains("://")) {
        for (host, port) in servers(url) {
            let service = &compose["services"][host];
            assert!(service.is_object(), "{key}: no service {host}");
            let targets = service["ports"].as_array().unwrap().iter();
            let listens = targets.map(|target| target["target"].to_string()).any(|at| at == port);
            // Kafka tells its clients where to come back to: by that name, or they can't.
            let advertised = service["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str();
            let tells = advertised.is_some_and(|all| all.contains(&format!("://{host}:{port}")));
            assert!(listens || tells, "{key}: {host} does not listen on {port}");
        }
    }

    let published = app["ports"].as_array().unwrap().iter();
    let published: BTreeSet<_> = published.map(|port| port["target"].to_string()).collect();
    let exposed: BTreeSet<_> = image.ports.iter().flatten().cloned().collect();
    assert_eq!(published, exposed);
    for address in ["ORDER_LEDGER_GRPC_ADDR", "ORDER_LEDGER_HTTP_ADDR"] {
        let port = env[address].strip_prefix("0.0.0.0:").expect("not on loopback alone");
        assert!(exposed.contains(port), "{address} is not exposed");
    }
}
