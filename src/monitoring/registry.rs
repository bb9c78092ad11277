//! The numbers of a tool, under the names that Prometheus knows them by.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The numbers of one tool. All their names begin alike.
pub(crate) struct Numbers {
    prefix: &'static str,
    registry: Registry,
}

impl Numbers {
    /// None yet, apart from the build information. The prefix is the tool's name, with an underscore.
    pub(crate) fn new(prefix: &'static str) -> prometheus::Result<Numbers> {
        let numbers = Numbers {
            prefix,
            registry: Registry::new(),
        };
        let version = env!("CARGO_PKG_VERSION");
        let options = numbers
            .options("build_info", "The version of the tool; always 1.")
            .const_label("version", version);
        let build = IntGauge::with_opts(options)?;
        build.set(1);
        numbers.registry.register(Box::new(build))?;
        Ok(numbers)
    }

    /// A number that only rises.
    pub(crate) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(self.options(name, help))?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    /// A counter for each outcome. All of them are there from the beginning.
    pub(crate) fn outcomes<const N: usize>(
        &self,
        name: &str,
        help: &str,
        outcomes: [&str; N],
    ) -> prometheus::Result<[IntCounter; N]> {
        let counters = IntCounterVec::new(self.options(name, help), &["outcome"])?;
        self.registry.register(Box::new(counters.clone()))?;
        Ok(outcomes.map(|outcome| counters.with_label_values(&[outcome])))
    }

    /// A number that rises and falls.
    pub(crate) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(self.options(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// Times in seconds, by these upper bounds.
    pub(crate) fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> prometheus::Result<Histogram> {
        let options = HistogramOpts {
            common_opts: self.options(name, help),
            buckets: bounds.to_vec(),
        };
        let histogram = Histogram::with_opts(options)?;
        self.registry.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }

    /// All numbers in Prometheus' text format.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn options(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("{}_{name}", self.prefix), help)
    }
}

/// Raises a counter to this number.
pub(crate) fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
