//! Text, mail addresses and locales: what is let in.

use events::{Email, Language, Locale, Text, TextError};
use proptest::prelude::*;

#[test]
fn a_text_is_neither_empty_nor_long_nor_invisible() {
    for (text, expected) in [
        ("", Some(TextError::Empty)),
        (" \t\n", Some(TextError::Empty)),
        ("abcde", None),
        ("áéíóú", None),
        ("👩‍🚀👩‍🚀", Some(TextError::TooLong { max: 5, found: 6 })),
        ("abcdef", Some(TextError::TooLong { max: 5, found: 6 })),
        ("a\nb\tc", None),
        ("a\0b", Some(TextError::Control)),
        ("a\u{7f}", Some(TextError::Control)),
        ("a\u{85}", Some(TextError::Control)),
        // The first reason in the order of the variants.
        ("\0bcdef", Some(TextError::TooLong { max: 5, found: 6 })),
    ] {
        assert_eq!(Text::<5>::new(text).err(), expected, "{text:?}");
    }
}

#[test]
fn a_text_may_be_left_out() {
    assert_eq!(Text::<5>::optional(""), Ok(None));
    assert_eq!(Text::<5>::optional("ab").unwrap().unwrap().as_str(), "ab");
    assert_eq!(Text::<5>::optional(" "), Err(TextError::Empty));
}

#[test]
fn errors_continue_a_sentence() {
    assert_eq!(
        Text::<5>::new("abcdef").unwrap_err().to_string(),
        "must have at most 5 characters, has 6"
    );
}

#[test]
fn an_address_is_one_that_mail_can_be_sent_to() {
    for good in ["ana@example.com", "a.b+c@sub.example.cl", "x@xn--bcher-kva.example"] {
        assert_eq!(Email::new(good).unwrap().as_str(), good);
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for bad in [
        "",
        "ana",
        "ana@",
        "@example.com",
        "ana@localhost",
        "ana@example.com ",
        "Ana <ana@example.com>",
        "ana@[127.0.0.1]",
        "ana@exämple.com",
        "ana@example.com\r\nBcc: eve@example.com",
        "ana@example.com,eve@example.com",
        &long,
    ] {
        assert!(Email::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_locale_chooses_a_language() {
    for (tag, language) in [
        ("es", Language::Spanish),
        ("es-CL", Language::Spanish),
        ("ES_419", Language::Spanish),
        ("en-GB", Language::English),
        ("est", Language::English),
        ("de", Language::English),
        ("-", Language::English),
    ] {
        assert_eq!(Locale::new(tag).unwrap().language(), language, "{tag}");
    }
    for tag in ["", "es CL", "es;CL", "español", &"e".repeat(36)] {
        assert!(Locale::new(tag).is_err(), "{tag:?}");
    }
}

proptest! {
    #[test]
    fn what_is_let_in_is_kept_as_it_is(text in "(?s).{0,12}") {
        if let Ok(kept) = Text::<8>::new(&text) {
            prop_assert_eq!(kept.as_str(), &text);
            prop_assert_eq!(kept.to_string(), text.clone());
            prop_assert!((1..=8).contains(&text.chars().count()));
            prop_assert!(text.chars().all(|c| !c.is_control() || "\n\r\t".contains(c)));
        }
    }

    #[test]
    fn no_address_breaks_a_header(text in "(?s)[ -~\r\n\t]{0,12}@[ -~\r\n\t]{0,12}|(?s).{0,300}") {
        if let Ok(email) = Email::new(&text) {
            prop_assert_eq!(email.as_str(), &text);
            prop_assert!(text.len() <= 254 && text.is_ascii());
            prop_assert!(!text.contains(['\r', '\n', ',', '<', '>']) || text.starts_with('"'));
        }
    }
}
