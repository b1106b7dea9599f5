//! The .proto files beside the domain, and beside themselves as they were: names agree, and schemas only grow.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use codec::state_to_proto;
use events::{EventKind, State};
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap()
}

/// Our own messages, each with its package.
fn messages() -> Vec<(String, DescriptorProto)> {
    let files = descriptors().file.into_iter().filter(|file| !file.name().starts_with("google/"));
    files
        .flat_map(|file| {
            let package = file.package().to_owned();
            file.message_type.into_iter().map(move |message| (package.clone(), message))
        })
        .collect()
}

fn enums() -> Vec<EnumDescriptorProto> {
    descriptors().file.into_iter().flat_map(|file| file.enum_type).collect()
}

/// `PaymentFailed` with `_` between its words.
fn words(name: &str) -> String {
    name.chars().fold(String::new(), |mut words, letter| {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter);
        words
    })
}

#[test]
fn the_states_are_those_of_the_domain() {
    let states = enums().into_iter().find(|found| found.name() == "OrderState").unwrap();
    let wire: BTreeSet<_> =
        states.value.iter().map(|value| (value.name().to_owned(), value.number())).collect();
    let domain = State::ALL.map(|state| {
        (
            format!("ORDER_STATE_{}", words(state.name()).to_uppercase()),
            state_to_proto(state).into(),
        )
    });
    let unspecified = [("ORDER_STATE_UNSPECIFIED".to_owned(), 0)];
    assert_eq!(wire, domain.into_iter().chain(unspecified).collect());
}

#[test]
fn the_events_are_those_of_the_domain() {
    let messages = messages();
    let event = &messages.iter().find(|(_, found)| found.name() == "OrderEvent").unwrap().1;
    let wire: BTreeSet<_> = event
        .field
        .iter()
        .filter(|field| field.oneof_index.is_some())
        .map(|field| (field.name().to_owned(), field.type_name().to_owned()))
        .collect();
    let domain = EventKind::ALL.map(|kind| {
        (words(kind.name()).to_lowercase(), format!(".orderledger.v1.{}", kind.name()))
    });
    assert_eq!(wire, domain.into_iter().collect());
}

/// One line for every field, enum value and method: what a reader of old bytes, or an old client, relies on.
fn contract() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (package, message) in messages() {
        for field in &message.field {
            let (name, number) = (field.name(), field.number());
            let (label, kind) = (field.label().as_str_name(), field.r#type().as_str_name());
            let kind = format!("{label} {kind} {}", field.type_name());
            lines.insert(format!("{package}.{}.{name} = {number} {}", message.name(), kind.trim()));
        }
    }
    for found in enums() {
        let line = |value: &prost_types::EnumValueDescriptorProto| {
            format!("{}.{} = {}", found.name(), value.name(), value.number())
        };
        lines.extend(found.value.iter().map(line));
    }
    for file in descriptors().file {
        for service in &file.service {
            lines.extend(service.method.iter().map(|method| {
                let stream = |streams| if streams { "stream " } else { "" };
                format!(
                    "{}.{}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type(),
                )
            }));
        }
    }
    lines
}

#[test]
fn the_contract_only_grows() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/contract.txt");
    let now = contract();
    let before: BTreeSet<String> =
        fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<_> = before.difference(&now).collect();
    assert!(gone.is_empty(), "someone out there relies on {gone:#?}");
    if now != before && env::var_os("UPDATE").is_some_and(|update| update == "1") {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).unwrap();
        return;
    }
    let new: Vec<_> = now.difference(&before).collect();
    assert!(
        new.is_empty(),
        "new, and from now on for ever: {new:#?}\n`UPDATE=1 cargo test -p codec the_contract` writes it down"
    );
}
