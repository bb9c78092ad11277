//! What is printed about many runs.

use std::fmt;

use crate::explore::{Found, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // It is for people.
        let rate = self.schedules as f64 / seconds.max(1e-9);
        writeln!(
            f,
            "{}: {} schedules, {} events, {seconds:.1} s, {rate:.0} schedules/s, {} failed",
            self.world,
            self.schedules,
            self.events,
            u8::from(self.found.is_some()),
        )?;
        let (total, never) = (self.reached.total(), self.reached.never());
        writeln!(f, "reached {} of {total}", total - never.len())?;
        for name in &never {
            writeln!(f, "never reached: {name}")?;
        }
        for (name, runs) in self.reached.rarest() {
            writeln!(f, "rare: {name}: {runs}")?;
        }
        match &self.found {
            Some(found) => found.write(self.world, f),
            None => Ok(()),
        }
    }
}

impl Found {
    fn write(&self, world: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nseed {}: {}", self.seed, self.failure.property)?;
        writeln!(f, "the smallest run that fails so:\n\n{}", self.transcript)?;
        let choices: Vec<String> = self.choices.iter().map(u64::to_string).collect();
        writeln!(
            f,
            "again: cargo xtask simulate {world} --seed {}",
            self.seed
        )?;
        writeln!(
            f,
            "the smallest run: cargo xtask simulate {world} --choices {}",
            choices.join(",")
        )
    }
}
