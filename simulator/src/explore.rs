//! Many runs of a world, one a seed, until one fails or the seeds or the time are used up.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use crate::choices::Choices;
use crate::reached::Reached;
use crate::shrink::shrink;
use crate::world::{Failure, Stats, Transcript, World};

/// One seed in so many is run twice: the second run must be the same.
const TWICE: u64 = 20;

/// Which seeds to run, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first seed.
    pub first_seed: u64,
    /// How many, from that one on.
    pub seeds: u64,
    /// No seed is begun after so long.
    pub limit: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The world's name.
    pub world: &'static str,
    /// How many seeds were run.
    pub schedules: u64,
    /// How many events the cores were given in all.
    pub events: u64,
    /// How long it took.
    pub took: Duration,
    /// Which situations were reached.
    pub reached: Reached,
    /// The first failure, if there was one; nothing was run after it.
    pub found: Option<Found>,
}

/// A failure, and the smallest run that shows it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed that it was found with.
    pub seed: u64,
    /// What did not hold, in the smallest run.
    pub failure: Failure,
    /// The decisions of the smallest run.
    pub choices: Vec<u64>,
    /// What happened in it.
    pub transcript: String,
}

/// A run of a world, with the decisions that were taken.
struct Run {
    result: Result<Stats, Failure>,
    taken: Vec<u64>,
    transcript: Transcript,
}

/// Runs the seeds of the plan.
#[must_use]
pub fn explore<W: World>(plan: Plan) -> Report {
    let began = Instant::now();
    let mut report = Report {
        world: W::NAME,
        schedules: 0,
        events: 0,
        took: Duration::ZERO,
        reached: Reached::none_of(W::MARKS),
        found: None,
    };
    quietly(|| {
        for seed in plan.first_seed..plan.first_seed.saturating_add(plan.seeds) {
            if plan.limit.is_some_and(|limit| began.elapsed() >= limit) {
                break;
            }
            report.schedules += 1;
            match run_seed::<W>(seed, &mut report.reached) {
                Ok(stats) => report.events += stats.events,
                Err(found) => {
                    report.found = Some(found);
                    break;
                }
            }
        }
    });
    report.took = began.elapsed();
    report
}

/// Runs recorded decisions and says what happened, event by event.
pub fn replay<W: World>(choices: Choices) -> (Result<Stats, Failure>, String) {
    let mut reached = Reached::default();
    let run = quietly(|| run_once::<W>(choices, &mut reached, Transcript::kept()));
    (run.result, run.transcript.text().to_owned())
}

fn run_seed<W: World>(seed: u64, reached: &mut Reached) -> Result<Stats, Found> {
    let is_run_twice = seed.is_multiple_of(TWICE);
    let transcript = || {
        if is_run_twice {
            Transcript::kept()
        } else {
            Transcript::unread()
        }
    };
    let run = run_once::<W>(Choices::seeded(seed), reached, transcript());
    reached.end_run();
    if is_run_twice {
        let mut nobody = Reached::default();
        let again = run_once::<W>(Choices::seeded(seed), &mut nobody, transcript());
        if (&again.taken, &again.transcript) != (&run.taken, &run.transcript) {
            return Err(Found {
                seed,
                failure: Failure::of(
                    "a seed decides everything",
                    "the second run of the seed was another one",
                ),
                choices: run.taken,
                transcript: run.transcript.text().to_owned(),
            });
        }
    }
    run.result
        .map_err(|failure| smallest::<W>(seed, &failure, run.taken))
}

/// The smallest run found that fails as this one did.
fn smallest<W: World>(seed: u64, failure: &Failure, taken: Vec<u64>) -> Found {
    let run = |list: &[u64], transcript| {
        let mut nobody = Reached::default();
        run_once::<W>(Choices::replayed(list.to_vec()), &mut nobody, transcript)
    };
    let choices = shrink(taken, |list| {
        let shrunk = run(list, Transcript::unread());
        let fails_alike = shrunk
            .result
            .is_err_and(|shrunk| shrunk.property == failure.property);
        fails_alike.then_some(shrunk.taken)
    });
    let last = run(&choices, Transcript::kept());
    Found {
        seed,
        failure: last.result.err().unwrap_or_else(|| failure.clone()),
        choices,
        transcript: last.transcript.text().to_owned(),
    }
}

/// One run. A panic in it is a failure like others.
fn run_once<W: World>(
    mut choices: Choices,
    reached: &mut Reached,
    mut transcript: Transcript,
) -> Run {
    let run = AssertUnwindSafe(|| W::run(&mut choices, reached, &mut transcript));
    let result = panic::catch_unwind(run).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned().or_else(|| {
            panic
                .downcast_ref::<&str>()
                .map(|words| (*words).to_owned())
        });
        Err(Failure::of("nothing panics", words.unwrap_or_default()))
    });
    if let Err(failure) = &result {
        transcript.line(|| format!("FAILED: {}: {}", failure.property, failure.details));
    }
    Run {
        result,
        taken: choices.taken().to_vec(),
        transcript,
    }
}

/// Keeps panics of this thread, which become failures, from being printed as well.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let here = std::thread::current().id();
    let usual = std::sync::Arc::new(panic::take_hook());
    let others = std::sync::Arc::clone(&usual);
    panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != here {
            others(panic);
        }
    }));
    let done = work();
    panic::set_hook(Box::new(move |panic| usual(panic)));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails where the second decision is 5 or more.
    struct Small;

    impl World for Small {
        const NAME: &'static str = "small";
        const MARKS: &'static [&'static str] = &["the first is 3"];

        fn run(
            choices: &mut Choices,
            reached: &mut Reached,
            transcript: &mut Transcript,
        ) -> Result<Stats, Failure> {
            if choices.below(10) == 3 {
                reached.mark("the first is 3");
            }
            let second = choices.below(10);
            transcript.line(|| format!("second {second}"));
            assert!(second != 4, "it is 4");
            if second >= 5 {
                return Err(Failure::of("the second is low", second.to_string()));
            }
            Ok(Stats { events: 2 })
        }
    }

    #[test]
    fn a_failure_is_found_and_shrunk() {
        let plan = Plan {
            first_seed: 1,
            seeds: 100,
            limit: None,
        };
        let report = explore::<Small>(plan);
        let found = report.found.unwrap();
        let shrunk = match found.failure.property {
            "nothing panics" => 4,
            _ => 5,
        };
        assert_eq!(found.choices, [0, shrunk]);
        assert!(
            found
                .transcript
                .starts_with(&format!("second {shrunk}\nFAILED: "))
        );
    }
}
