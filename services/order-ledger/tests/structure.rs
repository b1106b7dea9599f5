//! The map in ARCHITECTURE.md is what Cargo builds, and files stay small enough to read.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The longest that a source file may be, its tests included.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Our crates, each with those of ours that it builds on outside of tests.
fn built() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let dependencies = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect()
    };
    packages.iter().map(|p| (p["name"].as_str().unwrap().to_owned(), dependencies(p))).collect()
}

/// The crates of the table, each with those that it may depend on.
fn allowed(crates: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let name = quoted(cells[0]).pop_first().unwrap();
        let named = quoted(cells[2]);
        let may = if cells[2].trim().starts_with("all but") {
            crates.difference(&named).cloned().collect()
        } else if cells[2].trim() == "everything but the binary" {
            crates.iter().filter(|other| *other != "order-ledger").cloned().collect()
        } else {
            named
        };
        (name, may)
    })
    .collect()
}

#[test]
fn dependencies_are_those_of_the_map() {
    let built = built();
    let crates: BTreeSet<String> = built.keys().cloned().collect();
    let allowed = allowed(&crates);
    assert_eq!(allowed.keys().cloned().collect::<BTreeSet<_>>(), crates, "crates on the map");
    for (name, dependencies) in built {
        let surplus: Vec<_> = dependencies.difference(&allowed[&name]).collect();
        assert!(surplus.is_empty(), "{name} must not depend on {surplus:?}: see ARCHITECTURE.md");
    }
}

#[test]
fn every_source_file_can_be_read_in_one_sitting() {
    let mut folders = ["events", "proto", "services"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= LINES_MAX, "{} has {lines} lines: divide it", path.display());
            }
        }
    }
}
