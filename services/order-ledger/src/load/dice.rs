//! Chance that is none: the same seed and number give the same throws, on every machine.

/// Throws for one call or one order.
pub(super) struct Dice(u64);

impl Dice {
    /// Neighbouring numbers give throws that have nothing in common.
    pub(super) const fn new(seed: u64, number: u64) -> Self {
        Self(mixed(seed).wrapping_add(mixed(number ^ 0x5851_f42d_4c95_7f2d)))
    }

    /// At least 0 and below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0).checked_rem(bound).unwrap_or_default()
    }

    /// One of these, each as likely as the others.
    pub(super) fn one_of<T: Copy, const N: usize>(&mut self, of: [T; N]) -> Option<T> {
        let index = self.below(u64::try_from(N).unwrap_or_default());
        of.get(usize::try_from(index).ok()?).copied()
    }
}

/// The finish of `SplitMix64`: every bit of the result depends on every bit of the number.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_follow_from_seed_and_number_and_are_even() {
        let throw = |seed, number| Dice::new(seed, number).below(10);
        let first: Vec<_> = (0..10_000).map(|number| throw(1, number)).collect();
        assert_eq!(first, (0..10_000).map(|number| throw(1, number)).collect::<Vec<_>>());
        assert_ne!(first, (0..10_000).map(|number| throw(2, number)).collect::<Vec<_>>());
        for face in 0..10 {
            let count = first.iter().filter(|thrown| **thrown == face).count();
            assert!((900..1_100).contains(&count), "{face} came {count} times");
        }
    }
}
