//! Opaque tokens: what a caller brings back unread. Versioned, and checked like any other input.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// What a token is for. The number is its first byte; one is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TokenKind {
    /// A page of one order's history.
    History = 1,
    /// A page of orders.
    List = 2,
    /// A page of a search.
    Search = 3,
    /// A watch of one order.
    WatchOrder = 4,
    /// A watch of many.
    WatchOrders = 5,
}

/// Wraps bytes up.
pub(crate) fn seal(kind: TokenKind, bytes: &[u8]) -> String {
    let mut token = Vec::with_capacity(bytes.len() + 1);
    token.push(kind as u8);
    token.extend_from_slice(bytes);
    URL_SAFE_NO_PAD.encode(token)
}

/// Unwraps the bytes of a token of this kind; `None` if it is not one.
pub(crate) fn open(kind: TokenKind, token: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (first, rest) = bytes.split_first()?;
    (*first == kind as u8).then(|| rest.to_vec())
}

/// Takes the first `N` bytes off.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_only_what_it_was_made_for() {
        let token = seal(TokenKind::List, b"here");
        assert_eq!(open(TokenKind::List, &token).as_deref(), Some(&b"here"[..]));
        assert_eq!(open(TokenKind::Search, &token), None);
        for rubbish in ["", "!", "Ag==", "\u{1F600}"] {
            assert_eq!(open(TokenKind::List, rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn parts_are_taken_off_one_by_one() {
        let mut bytes = &[1, 2, 3][..];
        assert_eq!(take::<2>(&mut bytes), Some([1, 2]));
        assert_eq!(take::<2>(&mut bytes), None);
        assert_eq!(take::<1>(&mut bytes), Some([3]));
    }
}
