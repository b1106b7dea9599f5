//! W3C Trace Context: which trace a call, a record or a mail belongs to.

use std::{fmt, str::FromStr};

use crate::Header;

/// A trace, the span in it that something goes on from, and whether the trace is kept.
///
/// Anyone may have written it, so what is not as the specification has it is no traceparent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// Names a trace, as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// A text that is no traceparent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no W3C traceparent")]
pub struct NoTraceparent;

impl Traceparent {
    /// The name of the header, in calls and in records.
    pub const HEADER: &'static str = "traceparent";

    const SAMPLED: u8 = 0b01;
    /// Sampled, and made of random digits; the other flags mean nothing yet and are not passed on.
    const KNOWN_FLAGS: u8 = 0b11;

    /// Of these ids; `None` if one of them is zero, which names nothing.
    #[must_use]
    pub const fn new(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        if trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(Self { trace_id, span_id, flags: flags & Self::KNOWN_FLAGS })
    }

    /// The one among a record's headers, if there is a good one. The last counts: ours is put last.
    #[must_use]
    pub fn of(headers: &[Header]) -> Option<Self> {
        let (_, value) = headers.iter().rev().find(|(name, _)| name == Self::HEADER)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// Puts it into a record's headers, in the place of another.
    pub fn put(self, headers: &mut Vec<Header>) {
        headers.retain(|(name, _)| name != Self::HEADER);
        headers.push((Self::HEADER.to_owned(), self.to_string().into()));
    }

    /// Whether whoever began the trace keeps it.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// Which trace.
    #[must_use]
    pub const fn trace_id(self) -> TraceId {
        TraceId(self.trace_id)
    }

    /// Which span.
    #[must_use]
    pub const fn span_id(self) -> u64 {
        self.span_id
    }

    /// The flags that have a meaning.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }
}

impl TraceId {
    /// As a number.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for Traceparent {
    type Err = NoTraceparent;

    /// Of a later version, what is there in this one is read.
    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let mut fields = text.split('-');
        let mut field = |digits| fields.next().and_then(|field| number(field, digits));
        let (version, trace_id, span_id, flags) = (field(2), field(32), field(16), field(2));
        let more = fields.next().is_some();
        match version {
            Some(0) if !more => {}
            Some(1..0xff) => {}
            Some(_) | None => return Err(NoTraceparent),
        }
        let parsed = || {
            let (span_id, flags) = (u64::try_from(span_id?).ok()?, u8::try_from(flags?).ok()?);
            Self::new(trace_id?, span_id, flags)
        };
        parsed().ok_or(NoTraceparent)
    }
}

/// So many hexadecimal digits, lower case.
fn number(field: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = field.len() == digits && field.bytes().all(is_digit);
    if fits { u128::from_str_radix(field, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn what_the_specification_has_is_read_and_nothing_else() {
        for (text, sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
            // A later version may have more fields, and flags that are not known.
            (format!("01-{TRACE}-{SPAN}-01"), Some(true)),
            (format!("cc-{TRACE}-{SPAN}-fe-what-ever"), Some(false)),
            (format!("00-{TRACE}-{SPAN}-01-more"), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("cc-{TRACE}-{SPAN}-01.more"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-0A"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
            (format!("00-+{}-{SPAN}-01", &TRACE[1..]), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("0-{TRACE}-{SPAN}-01"), None),
            ("hello".to_owned(), None),
            (String::new(), None),
        ] {
            let parsed = text.parse::<Traceparent>().ok();
            assert_eq!(parsed.map(Traceparent::is_sampled), sampled, "{text:?}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.trace_id().to_string(), TRACE, "{text:?}");
                assert_eq!(format!("{:016x}", parsed.span_id()), SPAN, "{text:?}");
            }
        }
    }

    #[test]
    fn a_record_has_one() {
        let foreign = ("ce_id".to_owned(), Bytes::from_static(b"traceparent"));
        let bad = (Traceparent::HEADER.to_owned(), Bytes::from_static(b"\xff"));
        let mut headers = vec![foreign.clone(), bad];
        assert_eq!(Traceparent::of(&headers), None);
        let traceparent = Traceparent::new(7, 9, 1).unwrap();
        traceparent.put(&mut headers);
        assert_eq!(Traceparent::of(&headers), Some(traceparent));
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[0], foreign);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace_id in 1_u128.., span_id in 1_u64.., flags in 0..=3_u8) {
            let traceparent = Traceparent::new(trace_id, span_id, flags).unwrap();
            prop_assert_eq!(traceparent.to_string().parse(), Ok(traceparent));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}|[0-9a-f-]{50,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-..") {
            if let Ok(traceparent) = text.parse::<Traceparent>() {
                prop_assert_eq!(traceparent.to_string().parse(), Ok(traceparent));
            }
        }
    }
}
