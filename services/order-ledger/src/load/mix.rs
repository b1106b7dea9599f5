//! Which calls are made, and how often each.

use std::{collections::BTreeMap, str::FromStr};

use super::dice::Dice;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallKind {
    Place,
    Get,
    History,
    Pay,
    Prepare,
    Ship,
    Deliver,
    Cancel,
    List,
    Search,
}

impl CallKind {
    const ALL: [Self; 10] = [
        Self::Place,
        Self::Get,
        Self::History,
        Self::Pay,
        Self::Prepare,
        Self::Ship,
        Self::Deliver,
        Self::Cancel,
        Self::List,
        Self::Search,
    ];

    /// As the command line and every output have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Get => "get",
            Self::History => "history",
            Self::Pay => "pay",
            Self::Prepare => "prepare",
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::Cancel => "cancel",
            Self::List => "list",
            Self::Search => "search",
        }
    }
}

/// Kinds of calls and their weights; at least one weight is above 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mix(BTreeMap<CallKind, u32>);

/// Why a text is no mix.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MixError {
    #[error("{0:?} is not CALL=WEIGHT, as in place=60")]
    NotAWeight(String),
    #[error(
        "there is no call {0:?}; there are place, get, history, pay, prepare, ship, deliver, cancel, list, search"
    )]
    NoSuchCall(String),
    #[error("{0} comes twice")]
    Twice(&'static str),
    #[error("no call has a weight above 0")]
    Nothing,
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights = BTreeMap::new();
        for part in text.split(',') {
            let parsed = part
                .split_once('=')
                .and_then(|(name, weight)| Some((name.trim(), weight.trim().parse::<u32>().ok()?)));
            let (name, weight) = parsed.ok_or_else(|| MixError::NotAWeight(part.to_owned()))?;
            let kind = CallKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.ok_or_else(|| MixError::NoSuchCall(name.to_owned()))?;
            if weights.insert(kind, weight).is_some() {
                return Err(MixError::Twice(kind.name()));
            }
        }
        weights.retain(|_, weight| *weight > 0);
        if weights.is_empty() { Err(MixError::Nothing) } else { Ok(Self(weights)) }
    }
}

impl Mix {
    /// Which call the number-th is.
    pub(super) fn kind(&self, seed: u64, number: u64) -> CallKind {
        let total: u64 = self.0.values().copied().map(u64::from).sum();
        let mut left = Dice::new(seed, number).below(total);
        for (kind, weight) in &self.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *kind,
            }
        }
        // Never reached: what is thrown is below the sum of the weights.
        CallKind::Place
    }

    /// Whether it makes such calls.
    pub(super) fn has(&self, kind: CallKind) -> bool {
        self.0.contains_key(&kind)
    }

    /// Every kind that is called, with its weight.
    pub(super) fn weights(&self) -> impl Iterator<Item = (CallKind, u32)> {
        self.0.iter().map(|(kind, weight)| (*kind, *weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_by_weight_and_the_same_for_the_same_seed() {
        let mix: Mix = "place=60, get=20,pay=10,cancel=10,list=0".parse().unwrap();
        let mut counts = BTreeMap::new();
        for number in 0..10_000 {
            assert_eq!(mix.kind(7, number), mix.kind(7, number));
            *counts.entry(mix.kind(7, number).name()).or_insert(0) += 1;
        }
        let near = |name: &str, count: i32| (counts[name] - count).abs() < 200;
        assert!(near("place", 6_000) && near("get", 2_000), "{counts:?}");
        assert!(near("pay", 1_000) && near("cancel", 1_000), "{counts:?}");
        assert_eq!(counts.len(), 4);
    }

    #[test]
    fn what_is_no_mix_is_named() {
        let wrong = |text: &str| text.parse::<Mix>().unwrap_err().to_string();
        assert_eq!(wrong("place"), "\"place\" is not CALL=WEIGHT, as in place=60");
        assert_eq!(wrong("place=-1"), "\"place=-1\" is not CALL=WEIGHT, as in place=60");
        assert!(wrong("plaice=1").starts_with("there is no call \"plaice\""));
        assert_eq!(wrong("get=1,get=2"), "get comes twice");
        assert_eq!(wrong("get=0"), "no call has a weight above 0");
    }
}
