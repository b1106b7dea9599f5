//! The picture in the docs is the state machine, and its reasons are the reasons.

use std::{env, fs, path::Path};

use events::{Rejection, mermaid};

#[test]
fn the_docs_show_the_state_machine() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state-machine.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("```mermaid\n").expect("a mermaid block");
    let (shown, after) = rest.split_once("```\n").expect("the block's end");
    if shown == mermaid() {
        return;
    }
    if env::var_os("UPDATE").is_some_and(|update| update == "1") {
        fs::write(&path, format!("{before}```mermaid\n{}```\n{after}", mermaid())).unwrap();
        return;
    }
    panic!(
        "docs/state-machine.md does not show the table in events/src/state.rs; \
         `UPDATE=1 cargo test -p events the_docs_show` writes it anew"
    );
}

#[test]
fn the_docs_name_every_reason_in_its_precedence() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/state-machine.md");
    let page = fs::read_to_string(&path).unwrap();
    let (_, table) = page.split_once("## Why an event is rejected").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let named: Vec<_> = rows.map(|(reason, _)| reason).collect();
    assert_eq!(named, Rejection::ALL.map(Rejection::name));
}
