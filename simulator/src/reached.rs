//! Which rare situations the runs came to: each has a name, and a name that is never reached is a gap in the simulation.

use std::collections::{BTreeMap, BTreeSet};

/// In how many runs each situation was reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    runs: BTreeMap<&'static str, u64>,
    in_this_run: BTreeSet<&'static str>,
}

impl Reached {
    /// Nothing was reached yet of these.
    #[must_use]
    pub fn none_of(names: &[&'static str]) -> Reached {
        Reached {
            runs: names.iter().map(|name| (*name, 0)).collect(),
            in_this_run: BTreeSet::new(),
        }
    }

    /// The present run is in this situation.
    pub fn mark(&mut self, name: &'static str) {
        self.in_this_run.insert(name);
    }

    /// Counts what the run reached that ends here.
    pub fn end_run(&mut self) {
        for name in std::mem::take(&mut self.in_this_run) {
            *self.runs.entry(name).or_default() += 1;
        }
    }

    /// In how many runs a situation was reached.
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.runs.get(name).copied().unwrap_or_default()
    }

    /// How many situations there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.runs.len()
    }

    /// The situations that no run came to.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        let zero = self.runs.iter().filter(|(_, runs)| **runs == 0);
        zero.map(|(name, _)| *name).collect()
    }

    /// The five that the fewest runs came to, and how many.
    #[must_use]
    pub fn rarest(&self) -> Vec<(&'static str, u64)> {
        let mut all: Vec<_> = self
            .runs
            .iter()
            .map(|(name, runs)| (*name, *runs))
            .collect();
        all.sort_by_key(|(_, runs)| *runs);
        all.truncate(5);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_counts_once() {
        let mut reached = Reached::none_of(&["often", "never"]);
        for _ in 0..3 {
            reached.mark("often");
            reached.mark("often");
            reached.end_run();
        }
        assert_eq!(reached.count("often"), 3);
        assert_eq!(reached.never(), ["never"]);
        assert_eq!(reached.rarest(), [("never", 0), ("often", 3)]);
    }
}
