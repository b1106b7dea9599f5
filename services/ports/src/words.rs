//! Words, the same in every search index: what is written and what is asked are cut and folded alike.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Longer words are known by their beginning.
const CHARS_MAX: usize = 64;

/// The different words of texts: runs of letters and digits, in lower case and without accents, sorted.
#[must_use]
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        let folded: String = text
            .nfkd()
            .filter(|letter| !is_combining_mark(*letter))
            .flat_map(char::to_lowercase)
            .collect();
        let runs = folded.split(|letter: char| !letter.is_alphanumeric());
        words.extend(
            runs.filter(|run| !run.is_empty()).map(|run| run.chars().take(CHARS_MAX).collect()),
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_folded() {
        for (text, expected) in [
            ("Ana Pérez <ana@Example.com>", &["ana", "com", "example", "perez"][..]),
            ("TEA-7 x2, Ñuñoa", &["7", "nunoa", "tea", "x2"]),
            ("ﬁne ＡＢＣ １", &["1", "abc", "fine"]),
            ("注文 🦤 \"AND\" * ( ", &["and", "注文"]),
            ("", &[]),
            (" -- \u{301}", &[]),
        ] {
            assert_eq!(words([text]).into_iter().collect::<Vec<_>>(), expected, "{text:?}");
        }
        let long = "x".repeat(200);
        assert_eq!(words([long.as_str()]).pop_first().map(|word| word.len()), Some(CHARS_MAX));
    }
}
