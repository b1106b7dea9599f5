//! One dead letter: what its record holds, to the byte, and who waits for it.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::SecondsFormat;
use ports::{DeadLetter, HistoryOutcome, LetterKey, LogRecord};
use serde_json::{Value, json};

use super::{find, id, list, unknown};
use crate::{Failure, cli::Output, parts::Parts, table::table};

/// Bytes of a line of a dump.
const WIDTH: usize = 16;
/// Bytes that are dumped; a program gets all of them.
const DUMPED_MAX: usize = 64 * WIDTH;

pub(super) async fn run(
    parts: &Parts,
    key: LetterKey,
    output: Output,
) -> Result<ExitCode, Failure> {
    let letter = find(parts.dead_letters.as_ref(), key).await?.ok_or_else(|| unknown(key))?;
    let waiting = waiting(parts, &letter).await?;
    let text = match output {
        Output::Human => told(&letter, waiting),
        Output::Json => as_json(&letter, waiting).to_string(),
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// How many events of its order wait for a decision.
async fn waiting(parts: &Parts, letter: &DeadLetter) -> Result<usize, Failure> {
    let Some(order) = letter.parks else { return Ok(0) };
    let history = parts.orders.history(order).await?;
    Ok(history.iter().filter(|row| matches!(row.outcome, HistoryOutcome::Parked { .. })).count())
}

fn told(letter: &DeadLetter, waiting: usize) -> String {
    let key = letter.key();
    let mut rows = table(["dead letter".to_owned(), id(key)].each_ref().map(String::as_str));
    rows.add_row(["topic", letter.consumer.topic().name()]);
    rows.add_row(["status", letter.status.name()]);
    rows.add_row(["reason", letter.reason.name()]);
    rows.add_row(["detail", letter.detail.as_str()]);
    rows.add_row(["since", list::since(letter).as_str()]);
    if let Some(at) = letter.record.appended_at {
        rows.add_row(["appended", at.to_rfc3339_opts(SecondsFormat::Millis, true).as_str()]);
    }
    if let Some(order) = letter.parks {
        rows.add_row(["parks order".to_owned(), order.to_string()]);
        rows.add_row(["events that wait".to_owned(), waiting.to_string()]);
    }
    for (name, value) in &letter.record.headers {
        rows.add_row([format!("header {name}"), value.escape_ascii().to_string()]);
    }
    let LogRecord { key, value, .. } = &letter.record;
    format!("{rows}\n{}\n{}", part("key", key.as_deref()), part("value", value.as_deref()))
}

/// A dump of the bytes; a text as what it says, too.
fn part(name: &str, bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return format!("{name}: none") };
    let mut part = format!("{name}: {} bytes", bytes.len());
    let text = str::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control));
    if let Some(text) = text.filter(|text| !text.is_empty() && text.len() <= DUMPED_MAX) {
        _ = write!(part, ", a text: {text}");
    }
    for (line, bytes) in bytes.chunks(WIDTH).take(DUMPED_MAX / WIDTH).enumerate() {
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = bytes.iter().map(|byte| printable(*byte)).collect();
        _ = write!(
            part,
            "\n  {:08x}  {:<width$}  {text}",
            line * WIDTH,
            hex.join(" "),
            width = 3 * WIDTH - 1
        );
    }
    if bytes.len() > DUMPED_MAX {
        _ = write!(part, "\n  {} more: see --output json", bytes.len() - DUMPED_MAX);
    }
    part
}

const fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '.' }
}

fn as_json(letter: &DeadLetter, waiting: usize) -> Value {
    let base64 = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(|b| BASE64_STANDARD.encode(b));
    let record = &letter.record;
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(name, value)| json!({ "name": name, "value_base64": BASE64_STANDARD.encode(value) }))
        .collect();
    let mut document = list::as_json(letter);
    let more = json!({
        "topic": letter.consumer.topic().name(),
        "appended_at": record.appended_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        "events_waiting": waiting,
        "key_base64": base64(&record.key),
        "value_base64": base64(&record.value),
        "headers": headers,
    });
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_with_the_text_beside_them() {
        let expected = "\
value: 18 bytes
  00000000  6e 6f 74 20 61 6e 20 65 76 65 6e 74 0a 00 ff 21  not an event...!
  00000010  21 21                                            !!";
        assert_eq!(part("value", Some(b"not an event\n\0\xff!!!")), expected);
        assert_eq!(part("key", None), "key: none");
        assert!(part("key", Some(b"abc")).starts_with("key: 3 bytes, a text: abc\n"));
        let long = part("value", Some(&[0; 2_000]));
        assert!(long.ends_with("\n  976 more: see --output json"), "{long}");
    }
}
