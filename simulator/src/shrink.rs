//! From the decisions of a run that fails to fewer and smaller ones that fail in the same way.

/// So many runs are spent at most.
const ATTEMPTS: u32 = 20_000;

/// The smallest list found. `run` runs a list and returns the decisions that were really taken if it fails in the same
/// way, else nothing.
pub fn shrink(list: Vec<u64>, run: impl FnMut(&[u64]) -> Option<Vec<u64>>) -> Vec<u64> {
    let mut search = Search {
        best: list,
        run,
        attempts_left: ATTEMPTS,
    };
    while search.attempts_left > 0 {
        let before = search.best.clone();
        search.delete_blocks();
        search.zero_blocks();
        search.lower_each();
        if search.best == before {
            break;
        }
    }
    search.best
}

struct Search<R> {
    best: Vec<u64>,
    run: R,
    attempts_left: u32,
}

impl<R: FnMut(&[u64]) -> Option<Vec<u64>>> Search<R> {
    /// Takes the candidate if it fails as well and is smaller.
    fn attempt(&mut self, candidate: &[u64]) -> bool {
        if self.attempts_left == 0 {
            return false;
        }
        self.attempts_left -= 1;
        match (self.run)(candidate) {
            Some(taken) if is_smaller(&taken, &self.best) => {
                self.best = taken;
                true
            }
            _ => false,
        }
    }

    fn delete_blocks(&mut self) {
        for size in [64, 32, 16, 8, 6, 5, 4, 3, 2, 1] {
            let mut begin = 0;
            while begin + size <= self.best.len() {
                let mut candidate = self.best.clone();
                candidate.drain(begin..begin + size);
                if !self.attempt(&candidate) {
                    begin += size.div_ceil(2);
                }
            }
        }
    }

    fn zero_blocks(&mut self) {
        for size in [16, 8, 4, 2, 1] {
            let mut begin = 0;
            while begin + size <= self.best.len() {
                let mut candidate = self.best.clone();
                candidate[begin..begin + size].fill(0);
                self.attempt(&candidate);
                begin += size;
            }
        }
    }

    /// Lowers each decision as far as bisecting goes.
    fn lower_each(&mut self) {
        let mut index = 0;
        while index < self.best.len() {
            let mut too_low = 0;
            while let Some(value) = self.best.get(index).copied()
                && too_low < value
            {
                let middle = too_low + (value - too_low) / 2;
                let mut candidate = self.best.clone();
                candidate[index] = middle;
                if !self.attempt(&candidate) {
                    too_low = middle + 1;
                }
            }
            index += 1;
        }
    }
}

/// Shorter, or as long and lower at the first difference.
fn is_smaller(list: &[u64], other: &[u64]) -> bool {
    (list.len(), list) < (other.len(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_gone() {
        // It fails where a number above 6 comes before one above 2.
        let fails = |list: &[u64]| {
            let first = list.iter().position(|number| *number > 6)?;
            let second = list[first + 1..].iter().position(|number| *number > 2)?;
            Some(list[..first + second + 2].to_vec())
        };
        let list = vec![1, 5, 9, 1, 0, 2, 8, 4, 4, 7];
        assert_eq!(shrink(list, fails), [7, 3]);
    }
}
