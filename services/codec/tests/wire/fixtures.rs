//! Bytes that were written once and must be read for ever, as files of lines: `event` with its kind, fingerprint and
//! bytes, `change` with the state change announced for it, at last the `snapshot` that the events fold to.
//!
//! An old file is never changed: logs out there hold what it holds. A new way of encoding gets a new file. Those in
//! `before-chains` are from before snapshots had the head of a hash chain: their events and state changes are read as
//! ever, but their snapshots are to be folded anew. Those in `before-times` are from before orders knew how long they were
//! in each state: they are read as ever, and say nothing of it.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use codec::{
    StateChange, decode_event, decode_snapshot, decode_state_change, encode_event, encode_snapshot,
    encode_state_change,
};
use events::{Digest, Event, EventKind, Order, TimeSpent, fold};
use testkit::sample::{changes, folded};

use crate::{hex, stories::stories};

const HELP: &str = "what is in the log can't be changed: decode it as before. For a new story or a new encoding, \
                    `UPDATE=1 cargo test -p codec the_encoding` writes the file that is not there yet";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[derive(Default)]
struct Fixture {
    events: Vec<(String, u64, Vec<u8>)>,
    changes: Vec<Vec<u8>>,
    snapshot: Vec<u8>,
}

impl Fixture {
    fn parse(text: &str) -> Self {
        let mut fixture = Self::default();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["event", kind, fingerprint, bytes] => {
                    let fingerprint = u64::from_str_radix(fingerprint, 16).unwrap();
                    fixture.events.push((kind.to_owned(), fingerprint, hex::decode(bytes)));
                }
                ["change", bytes] => fixture.changes.push(hex::decode(bytes)),
                ["snapshot", bytes] => fixture.snapshot = hex::decode(bytes),
                _ => panic!("not a line of a fixture: {line}"),
            }
        }
        fixture
    }

    fn decoded(&self) -> Vec<Event> {
        self.events.iter().map(|(_, _, bytes)| decode_event(bytes).expect(HELP)).collect()
    }
}

/// The files from before there were hash chains.
fn before_chains() -> Vec<(String, Fixture)> {
    in_folder(&folder().join("before-chains"))
}

/// The files from before orders knew how long they were in each state.
fn before_times() -> Vec<(String, Fixture)> {
    in_folder(&folder().join("before-times"))
}

/// Every file there is, whichever version of the program wrote it.
fn all() -> Vec<(String, Fixture)> {
    in_folder(&folder()).into_iter().chain(before_times()).chain(before_chains()).collect()
}

fn in_folder(folder: &Path) -> Vec<(String, Fixture)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "story"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, Fixture::parse(&fs::read_to_string(path).unwrap()))
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn write(events: &[Event]) -> String {
    let event = |event: &Event| {
        let bytes = hex::encode(&encode_event(event));
        format!("event {} {:016x} {bytes}\n", event.body.kind(), event.fingerprint.get())
    };
    let change = |change| format!("change {}\n", hex::encode(&encode_state_change(change)));
    let changes = changes(events);
    let lines = events.iter().map(event).chain(changes.iter().map(change));
    let snapshot = format!("snapshot {}\n", hex::encode(&encode_snapshot(&folded(events))));
    lines.chain([snapshot]).collect()
}

#[test]
fn there_is_a_fixture_of_every_kind_of_event() {
    let all = all();
    let kinds: BTreeSet<_> =
        all.iter().flat_map(|(_, fixture)| &fixture.events).map(|(kind, ..)| kind).collect();
    for kind in EventKind::ALL {
        assert!(kinds.contains(&kind.name().to_owned()), "no fixture of {kind}: {HELP}");
    }
}

#[test]
fn what_was_written_once_is_read_for_ever() {
    for (name, fixture) in all() {
        for ((kind, fingerprint, _), event) in fixture.events.iter().zip(fixture.decoded()) {
            assert_eq!(event.body.kind().name(), kind, "{name}: {HELP}");
            // Were it to change, repeats of what was recorded before would be taken for something else.
            assert_eq!(event.fingerprint.get(), *fingerprint, "{name}, {kind}: {HELP}");
        }
    }
}

#[test]
fn what_was_written_once_is_folded_for_ever() {
    for (name, fixture) in in_folder(&folder()) {
        let events = fixture.decoded();
        let order = events.iter().fold(None, |order, event| fold(order, event).order).unwrap();
        assert_eq!(decode_snapshot(&fixture.snapshot).expect(HELP), order, "{name}: {HELP}");
        check_changes(&name, &fixture, |change| change);
    }
    for (name, fixture) in before_times() {
        let order = Order { spent: TimeSpent::default(), ..folded(&fixture.decoded()) };
        assert_eq!(decode_snapshot(&fixture.snapshot).expect(HELP), order, "{name}: {HELP}");
        check_changes(&name, &fixture, without_times);
    }
    for (name, fixture) in before_chains() {
        assert!(decode_snapshot(&fixture.snapshot).is_err(), "{name}: its order has no head");
        check_changes(&name, &fixture, |change| {
            let change = without_times(change);
            let order = Order { head: Digest::ZERO, ..change.order };
            StateChange { order, ..change }
        });
    }
}

fn without_times(change: StateChange) -> StateChange {
    let order = Order { spent: TimeSpent::default(), ..change.order };
    StateChange { order, from_entered_at: None, ..change }
}

/// The state changes are those of the events, as far as they were told at that time.
fn check_changes(name: &str, fixture: &Fixture, told: impl Fn(StateChange) -> StateChange) {
    let expected = changes(&fixture.decoded());
    assert_eq!(fixture.changes.len(), expected.len(), "{name}: {HELP}");
    for (bytes, expected) in fixture.changes.iter().zip(expected) {
        let change = decode_state_change(bytes).expect(HELP);
        // What was recorded stays in the store.
        let order = Order { recorded: Vec::new(), ..expected.order };
        let expected = told(StateChange { order, ..expected });
        assert_eq!(change, expected, "{name}: {HELP}");
    }
}

#[test]
fn the_encoding_is_that_of_the_newest_fixtures() {
    for (name, events) in stories() {
        let path = folder().join(name).with_extension("story");
        let written = write(&events);
        if !path.exists() && env::var_os("UPDATE").is_some_and(|update| update == "1") {
            fs::write(&path, &written).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        for (stored, written) in stored.lines().zip(written.lines()) {
            assert_eq!(stored, written, "{name}: {HELP}");
        }
        assert_eq!(stored.lines().count(), written.lines().count(), "{name}: {HELP}");
    }
}
