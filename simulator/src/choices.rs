//! Where every decision of a run comes from: a seed, or a list of decisions that was recorded before.
//!
//! 0 is always the harmless decision: no fault, the earliest, success. So a list that ends early, or is shrunk towards
//! zeros, is a run with less trouble in it.

/// A source of decisions that records what it gave.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    taken: Vec<u64>,
}

#[derive(Clone, Debug)]
enum Source {
    /// The state of a `SplitMix64` generator (<https://prng.di.unimi.it/splitmix64.c>).
    Seed(u64),
    /// These, from the front on, and zeros when they are used up.
    List(std::vec::IntoIter<u64>),
}

impl Choices {
    /// The decisions that belong to a seed, the same for ever.
    #[must_use]
    pub fn seeded(seed: u64) -> Choices {
        Choices::from(Source::Seed(seed))
    }

    /// Decisions that were recorded before, and zeros behind them.
    #[must_use]
    pub fn replayed(list: Vec<u64>) -> Choices {
        Choices::from(Source::List(list.into_iter()))
    }

    fn from(source: Source) -> Choices {
        Choices {
            source,
            taken: Vec::new(),
        }
    }

    /// A number from 0 to `count` - 1; 0 without a decision where nothing else is possible.
    pub fn below(&mut self, count: u64) -> u64 {
        if count <= 1 {
            return 0;
        }
        let choice = match &mut self.source {
            Source::Seed(state) => split_mix(state) % count,
            Source::List(list) => list.next().unwrap_or(0).min(count - 1),
        };
        self.taken.push(choice);
        choice
    }

    /// [`Choices::below`] for indices.
    pub fn index(&mut self, count: usize) -> usize {
        // It is below `count`, so it fits.
        usize::try_from(self.below(count as u64)).unwrap_or(0)
    }

    /// True in so many of a hundred cases; false without a decision where there are none.
    pub fn chance(&mut self, percent: u64) -> bool {
        if percent == 0 {
            return false;
        }
        // The high numbers are the hits, so that 0 is a miss.
        self.below(100) + percent >= 100
    }

    /// One of these. The first is the harmless one. `options` must not be empty.
    pub fn one_of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.index(options.len())]
    }

    /// What was decided so far.
    #[must_use]
    pub fn taken(&self) -> &[u64] {
        &self.taken
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_split_mix_64() {
        let mut state = 1_234_567;
        let numbers = [(); 3].map(|()| split_mix(&mut state));
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn what_was_taken_can_be_replayed() {
        let draw = |choices: &mut Choices| {
            let numbers = [3, 1, 100].map(|count| choices.below(count));
            (numbers, choices.chance(40), choices.one_of(&['a', 'b']))
        };
        let mut first = Choices::seeded(7);
        let drawn = draw(&mut first);
        let mut second = Choices::replayed(first.taken().to_vec());
        assert_eq!(draw(&mut second), drawn);
        assert_eq!(first.taken(), second.taken());
    }

    #[test]
    fn nothing_is_the_harmless_decision() {
        let mut none = Choices::replayed(Vec::new());
        assert_eq!((none.below(9), none.chance(99)), (0, false));
        assert!(Choices::replayed(Vec::new()).chance(100));
    }
}
