//! The picture in the docs is the state machine.

use std::{env, fs, path::Path};

use events::mermaid;

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
