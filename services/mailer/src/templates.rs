//! The template files, built into the program: a text and an HTML part for every state and language.
//!
//! A text template's first line is the subject.

macro_rules! templates {
    ($($language:literal / [$($name:literal),* $(,)?]),* $(,)?) => {
        &[$($(
            (
                concat!($language, "/", $name, ".txt.jinja"),
                include_str!(concat!("../templates/", $language, "/", $name, ".txt.jinja")),
            ),
            (
                concat!($language, "/", $name, ".html.jinja"),
                include_str!(concat!("../templates/", $language, "/", $name, ".html.jinja")),
            ),
        )*)*]
    };
}

/// Every file, as name and content.
pub(crate) const FILES: &[(&str, &str)] = templates![
    "en" / [
        "layout",
        "placed",
        "paid",
        "payment-failed",
        "preparing",
        "shipped",
        "delivered",
        "delivery-failed",
        "completed",
        "cancelled",
        "return-requested",
        "returned",
        "refunded",
    ],
    "es" / [
        "layout",
        "placed",
        "paid",
        "payment-failed",
        "preparing",
        "shipped",
        "delivered",
        "delivery-failed",
        "completed",
        "cancelled",
        "return-requested",
        "returned",
        "refunded",
    ],
];
