//! A part of all orders, by the beginning of the digest of their keys.

/// From here to there, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: u64,
    to: u64,
}

impl Span {
    pub(super) const ALL: Self = Self { from: 0, to: u64::MAX };

    pub(super) fn has(&self, id: &[u8; 16]) -> bool {
        let [first @ .., _, _, _, _, _, _, _, _] = *id;
        (self.from..=self.to).contains(&u64::from_be_bytes(first))
    }

    /// Leaves the upper half out; `false` if there is none.
    pub(super) const fn halve(&mut self) -> bool {
        let is_one = self.from == self.to;
        self.to = u64::midpoint(self.from, self.to);
        !is_one
    }

    /// What comes after it, up to the end.
    pub(super) fn next(&self) -> Option<Self> {
        self.to.checked_add(1).map(|from| Self { from, to: u64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However they are cut, spans have every order once.
    #[test]
    fn spans_leave_nothing_out() {
        let ids: Vec<[u8; 16]> = (0..=255).map(|first| [first; 16]).collect();
        let mut seen: Vec<&[u8; 16]> = Vec::new();
        let mut next = Some(Span::ALL);
        while let Some(mut span) = next {
            while ids.iter().filter(|id| span.has(id)).count() > 10 && span.halve() {}
            seen.extend(ids.iter().filter(|id| span.has(id)));
            next = span.next();
        }
        assert_eq!(seen, ids.iter().collect::<Vec<_>>());
        let mut one = Span { from: 7, to: 7 };
        assert!(!one.halve());
        assert_eq!(one, Span { from: 7, to: 7 });
    }
}
