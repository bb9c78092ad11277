//! The tutorial's Job without Kubernetes: so many pods at a time, until so many have succeeded.

use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::shell::{Ended, Shell, poll};

/// What a Job's manifest says.
pub(crate) struct Job<'a> {
    pub(crate) command: &'a str,
    pub(crate) completions: usize,
    pub(crate) parallelism: usize,
    pub(crate) backoff_limit: usize,
}

/// How a Job went.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
}

struct Pod {
    number: usize,
    process: Child,
}

const DEADLINE: Duration = Duration::from_secs(120);

impl Job<'_> {
    /// Runs pods as Kubernetes does: a failed one is replaced, and no more are started than can still succeed.
    pub(crate) fn run(&self, shell: &Shell) -> Result<Tally> {
        let deadline = Instant::now() + DEADLINE;
        let mut tally = Tally::default();
        let mut pods: Vec<Pod> = Vec::new();
        let mut started = 0;
        while tally.succeeded < self.completions {
            ensure!(
                Instant::now() < deadline,
                "the job has not ended after {DEADLINE:?}"
            );
            ensure!(
                tally.failed <= self.backoff_limit,
                "{} pods have failed",
                tally.failed
            );
            while pods.len() < self.parallelism && tally.succeeded + pods.len() < self.completions {
                started += 1;
                pods.push(Pod {
                    number: started,
                    process: shell.start(self.command)?,
                });
            }
            pods = tally.collect(pods)?;
            sleep(Duration::from_millis(10));
        }
        Ok(tally)
    }
}

impl Tally {
    /// Reports the pods that have ended and returns those that have not.
    fn collect(&mut self, pods: Vec<Pod>) -> Result<Vec<Pod>> {
        let mut running = Vec::new();
        for mut pod in pods {
            match poll(&mut pod.process)? {
                None => running.push(pod),
                Some(ended) => self.count(pod.number, &ended),
            }
        }
        Ok(running)
    }

    fn count(&mut self, number: usize, ended: &Ended) {
        let output = ended.output.trim_end();
        match ended.status {
            0 => {
                self.succeeded += 1;
                println!("pod {number}: {output}");
            }
            status => {
                self.failed += 1;
                println!(
                    "pod {number}: {output}: exit status {status}, the task goes back to the queue"
                );
            }
        }
    }
}
