//! Series of measured values: median, quartiles and extremes, and the ratio of two series taken in turn.

/// What is said of a series: never its mean, which one interruption spoils.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) minimum: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) maximum: f64,
    pub(crate) count: usize,
}

impl Summary {
    /// The summary of `values`, or `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            minimum: *sorted.first()?,
            lower_quartile: quantile(&sorted, 1, 4),
            median: quantile(&sorted, 1, 2),
            upper_quartile: quantile(&sorted, 3, 4),
            maximum: *sorted.last()?,
            count: sorted.len(),
        })
    }

    /// Whether there are enough values for a spread: nothing is said of a figure from one or two runs.
    pub(crate) fn is_repeated(&self) -> bool {
        self.count >= 3
    }

    /// The summary of what `change` makes of each value. `change` must be monotonic.
    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        let mapped = [
            self.minimum,
            self.lower_quartile,
            self.median,
            self.upper_quartile,
            self.maximum,
        ]
        .map(change);
        let [first, second, median, fourth, fifth] = mapped;
        Self {
            minimum: first.min(fifth),
            lower_quartile: second.min(fourth),
            median,
            upper_quartile: second.max(fourth),
            maximum: first.max(fifth),
            count: self.count,
        }
    }
}

/// The ratio of two lanes, round by round: what disturbed a round disturbed both.
pub(crate) fn ratio(numerators: &[Option<f64>], denominators: &[Option<f64>]) -> Option<Summary> {
    let pairs = numerators.iter().zip(denominators);
    Summary::of(pairs.filter_map(|(above, below)| Some((*above)? / (*below)?)))
}

/// The value below which `part` of `whole` lie, between two values in proportion.
fn quantile(sorted: &[f64], part: usize, whole: usize) -> f64 {
    let steps = (sorted.len() - 1) * part;
    let (index, rest) = (steps / whole, steps % whole);
    let next = sorted[(index + 1).min(sorted.len() - 1)];
    #[allow(clippy::cast_precision_loss)] // a quarter of a handful
    let weight = rest as f64 / whole as f64;
    sorted[index] + (next - sorted[index]) * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn quartiles_lie_between_values_in_proportion() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert!(close(summary.median, 2.5), "{summary:?}");
        assert!(close(summary.lower_quartile, 1.75), "{summary:?}");
        assert!(close(summary.upper_quartile, 3.25), "{summary:?}");
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn a_falling_change_keeps_the_order() {
        let rates = Summary::of([1.0, 2.0, 4.0]).unwrap().map(|time| 1.0 / time);
        assert!(close(rates.minimum, 0.25) && close(rates.maximum, 1.0));
        assert!(rates.lower_quartile <= rates.upper_quartile);
    }

    #[test]
    fn a_round_in_which_one_failed_is_left_out_of_the_ratio() {
        let summary = ratio(
            &[Some(1.0), None, Some(3.0)],
            &[Some(2.0), Some(1.0), Some(2.0)],
        )
        .unwrap();
        assert_eq!(summary.count, 2);
        assert!(close(summary.median, 1.0));
    }
}
