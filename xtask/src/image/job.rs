//! A stand-in for Kubernetes' Job controller: so many pods at a time, failed ones started again, successes counted.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::docker::eventually;
use super::pod::{Cluster, Pod};

/// What became of a Job.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Pods that ended with exit status 0.
    pub(crate) completions: u64,
    /// Ends with another status, in order.
    pub(crate) failures: Vec<i32>,
    /// What all its pods have printed.
    pub(crate) logs: String,
}

/// A Job under way.
pub(crate) struct Job<'a> {
    cluster: &'a Cluster<'a>,
    spec: &'a Value,
    options: &'a [String],
    running: Vec<Pod>,
    outcome: Outcome,
}

impl<'a> Job<'a> {
    /// Starts the first pods of a Job's manifest. `options` are for `docker create`.
    pub(crate) fn start(
        cluster: &'a Cluster<'a>,
        manifest: &'a Value,
        options: &'a [String],
    ) -> Result<Self> {
        let mut job = Self {
            cluster,
            spec: &manifest["spec"],
            options,
            running: Vec::new(),
            outcome: Outcome::default(),
        };
        job.fill()?;
        Ok(job)
    }

    /// Waits until one of its pods has printed a text, and returns that pod.
    pub(crate) fn pod_that_prints(&self, text: &str) -> Result<&Pod> {
        eventually(text, || {
            for pod in &self.running {
                if pod.container.logs()?.contains(text) {
                    return Ok(Some(pod));
                }
            }
            Ok(None)
        })
    }

    /// Carries it on until it has completed.
    pub(crate) fn complete(mut self) -> Result<Outcome> {
        while !self.running.is_empty() {
            let index = eventually("a pod's end", || self.ended())?;
            self.judge(index)?;
            self.fill()?;
        }
        Ok(self.outcome)
    }

    fn ended(&self) -> Result<Option<usize>> {
        for (index, pod) in self.running.iter().enumerate() {
            if pod.container.exit_status()?.is_some() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Counts a pod that has ended, and starts it again if it has failed.
    fn judge(&mut self, index: usize) -> Result<()> {
        let container = &self.running[index].container;
        let status = container.exit_status()?.context("the pod runs")?;
        if status == 0 {
            self.outcome.completions += 1;
        } else {
            self.outcome.failures.push(status);
            self.may_fail(status)
                .with_context(|| container.logs().unwrap_or_default())?;
            if self.spec["template"]["spec"]["restartPolicy"] == "OnFailure" {
                return container.start();
            }
        }
        let ended = self.running.swap_remove(index);
        self.outcome.logs += &ended.container.logs()?;
        Ok(())
    }

    fn may_fail(&self, status: i32) -> Result<()> {
        let limit = self.spec["backoffLimit"].as_u64().unwrap_or(6);
        let rules = self.spec["podFailurePolicy"]["rules"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let matches = |rule: &&Value| {
            let values = rule["onExitCodes"]["values"].as_array();
            values.is_some_and(|values| {
                values
                    .iter()
                    .any(|value| value.as_i64() == Some(status.into()))
            })
        };
        match rules.iter().find(matches).map(|rule| &rule["action"]) {
            Some(action) if action == "Ignore" => Ok(()),
            Some(action) if action == "FailJob" => {
                bail!("the policy fails the Job: a pod ended with {status}")
            }
            _ if self.outcome.failures.len() as u64 > limit => bail!(
                "more failures than backoffLimit: {:?}",
                self.outcome.failures
            ),
            _ => Ok(()),
        }
    }

    /// Starts pods up to `parallelism`, but no more than are still wanted: `completions` in all, or, where that is unset,
    /// none after the first success.
    fn fill(&mut self) -> Result<()> {
        let parallelism = self.spec["parallelism"].as_u64().unwrap_or(1);
        let wanted = match self.spec["completions"].as_u64() {
            Some(completions) => completions
                .saturating_sub(self.outcome.completions)
                .min(parallelism),
            None if self.outcome.completions == 0 => parallelism,
            None => 0,
        };
        while (self.running.len() as u64) < wanted {
            let pod = self.cluster.pod(&self.spec["template"], self.options)?;
            pod.container.start()?;
            self.running.push(pod);
        }
        Ok(())
    }
}
