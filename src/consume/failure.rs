//! What happens to failed messages.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::status::Status;

/// What happens to failed messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// The action if no rule applies; `None`: requeue, in a stream stop.
    pub action: Option<FailureAction>,
    /// Rules for certain exit statuses, in the order in which they were given.
    pub rules: Vec<Rule>,
    /// The failure that is a message's last; `None`: it may fail without limit.
    pub max_attempts: Option<NonZeroU64>,
    /// The queue that messages are parked in. Without it, a message that has failed too often is rejected.
    pub park: Option<String>,
    /// After how many failed messages in a row the run ends.
    pub halt: Option<NonZeroU64>,
    /// How often the broker delivers a message before it drops it.
    pub delivery_limit: DeliveryLimit,
}

/// The delivery limit of a quorum queue. The tool republishes a message before it reaches the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryLimit {
    /// The broker's default, by its version.
    #[default]
    Default,
    /// Messages are not republished.
    Off,
    /// This limit.
    Of(NonZeroU64),
}

/// What happens to a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    /// It is requeued.
    Requeue,
    /// It is rejected: to the queue's dead-letter exchange, or dropped if there is none.
    Reject,
    /// It is acknowledged as if it had succeeded.
    Ack,
    /// A copy is published to the parking queue, and the message is acknowledged.
    Park,
    /// A copy waits in a queue of the broker for so long and then comes back, and the message is acknowledged.
    Retry(Duration),
    /// It is requeued, and the run ends with its status.
    Stop,
}

/// An action for certain exit statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The exit statuses.
    pub statuses: Vec<RangeInclusive<u8>>,
    /// The action.
    pub action: FailureAction,
}

impl FailurePolicy {
    /// What happens to a message whose command ended with `status`, which was the message's failure number `failures`.
    ///
    /// | action for the status | failures | `--park` | result |
    /// |---|---|---|---|
    /// | ack, reject, park | any | | ack, reject, park |
    /// | requeue, stop | fewer than `--max-attempts`, or no limit | | requeue |
    /// | retry | fewer than `--max-attempts`, or no limit | | retry |
    /// | requeue, stop, retry | `--max-attempts` or more | no | reject |
    /// | requeue, stop, retry | `--max-attempts` or more | yes | park |
    pub(super) fn decide(&self, status: Status, failures: u64) -> FailureAction {
        let is_last = self
            .max_attempts
            .is_some_and(|limit| failures >= limit.get());
        let action = self.action_for(status);
        let goes_on = matches!(
            action,
            FailureAction::Requeue | FailureAction::Stop | FailureAction::Retry(_)
        );
        match (action, &self.park) {
            (_, Some(_)) if goes_on && is_last => FailureAction::Park,
            (_, None) if goes_on && is_last => FailureAction::Reject,
            (FailureAction::Stop, _) => FailureAction::Requeue,
            _ => action,
        }
    }

    /// The times for which messages may have to wait in the broker, each once.
    #[must_use]
    pub fn retry_times(&self) -> Vec<Duration> {
        let rules = self.rules.iter().map(|rule| rule.action);
        let mut times: Vec<Duration> = rules
            .chain(self.action)
            .filter_map(|action| match action {
                FailureAction::Retry(time) => Some(time),
                _ => None,
            })
            .collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// What of it a stream cannot do, to which nothing can be given back, as a person names it.
    #[must_use]
    pub fn unfit_for_streams(&self) -> Option<String> {
        let name = |action| match action {
            FailureAction::Requeue => Some("requeue"),
            FailureAction::Reject => Some("reject"),
            FailureAction::Retry(_) => Some("retry:DURATION"),
            FailureAction::Ack | FailureAction::Park | FailureAction::Stop => None,
        };
        let mut rules = self.rules.iter().filter_map(|rule| name(rule.action));
        let of_all = self.action.and_then(name);
        let of_all = of_all.map(|action| format!("--on-failure {action}"));
        of_all
            .or_else(|| {
                rules
                    .next()
                    .map(|action| format!("--on-exit CODES={action}"))
            })
            .or_else(|| self.max_attempts.map(|_| "--max-attempts".to_owned()))
    }

    /// Whether the run ends with a message that failed with this status, the last of so many in a row.
    pub(super) fn ends_run(&self, status: Status, in_a_row: u32) -> bool {
        let is_halted = self
            .halt
            .is_some_and(|limit| u64::from(in_a_row) >= limit.get());
        is_halted || self.action_for(status) == FailureAction::Stop
    }

    /// The last rule that names the status decides, else the policy's own action.
    #[must_use]
    pub fn action_for(&self, status: Status) -> FailureAction {
        let names = |rule: &&Rule| {
            rule.statuses
                .iter()
                .any(|range| range.contains(&status.code()))
        };
        self.rules
            .iter()
            .rev()
            .find(names)
            .map(|rule| rule.action)
            .or(self.action)
            .unwrap_or(FailureAction::Requeue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(
        action: FailureAction,
        max_attempts: Option<u64>,
        park: Option<&str>,
    ) -> FailurePolicy {
        FailurePolicy {
            action: Some(action),
            rules: Vec::new(),
            max_attempts: max_attempts.and_then(NonZeroU64::new),
            park: park.map(str::to_owned),
            halt: None,
            delivery_limit: DeliveryLimit::Default,
        }
    }

    #[test]
    fn every_row_of_the_table() {
        use FailureAction::{Ack, Park, Reject, Requeue, Retry, Stop};
        let retry = Retry(Duration::from_secs(2));
        for (action, max_attempts, park, failures, expected) in [
            (Ack, None, None, 1, Ack),
            (Ack, Some(2), Some("bad"), 2, Ack),
            (Reject, None, None, 1, Reject),
            (Reject, Some(3), Some("bad"), 1, Reject),
            (Park, None, Some("bad"), 1, Park),
            (Park, Some(3), Some("bad"), 1, Park),
            (Requeue, None, None, u64::MAX, Requeue),
            (Requeue, None, Some("bad"), u64::MAX, Requeue),
            (Requeue, Some(3), Some("bad"), 2, Requeue),
            (Requeue, Some(3), None, 3, Reject),
            (Requeue, Some(3), None, 4, Reject),
            (Requeue, Some(3), Some("bad"), 3, Park),
            (Requeue, Some(3), Some("bad"), 4, Park),
            (retry, None, None, 9, retry),
            (retry, Some(3), None, 2, retry),
            (retry, Some(3), None, 3, Reject),
            (retry, Some(3), Some("bad"), 3, Park),
            (Stop, None, None, 9, Requeue),
            (Stop, Some(3), None, 2, Requeue),
            (Stop, Some(3), None, 3, Reject),
            (Stop, Some(3), Some("bad"), 3, Park),
        ] {
            let policy = policy(action, max_attempts, park);
            assert_eq!(
                policy.decide(Status::exited(7), failures),
                expected,
                "{policy:?} {failures}"
            );
        }
    }

    #[test]
    fn a_run_ends_by_a_status_or_by_failures_in_a_row() {
        let policy = FailurePolicy {
            rules: vec![Rule {
                statuses: vec![70..=70],
                action: FailureAction::Stop,
            }],
            halt: NonZeroU64::new(3),
            ..policy(FailureAction::Ack, None, None)
        };
        for (code, in_a_row, ends) in [(70, 1, true), (71, 2, false), (71, 3, true), (71, 4, true)]
        {
            let status = Status::exited(code);
            assert_eq!(policy.ends_run(status, in_a_row), ends, "{code} {in_a_row}");
        }
    }

    #[test]
    fn the_last_rule_that_names_the_status_decides() {
        let policy = FailurePolicy {
            rules: vec![
                Rule {
                    statuses: vec![1..=100],
                    action: FailureAction::Reject,
                },
                Rule {
                    statuses: vec![3..=3, 75..=78],
                    action: FailureAction::Ack,
                },
            ],
            ..policy(FailureAction::Requeue, None, None)
        };
        for (code, action) in [
            (1, FailureAction::Reject),
            (3, FailureAction::Ack),
            (4, FailureAction::Reject),
            (74, FailureAction::Reject),
            (75, FailureAction::Ack),
            (78, FailureAction::Ack),
            (100, FailureAction::Reject),
            (101, FailureAction::Requeue),
        ] {
            assert_eq!(policy.action_for(Status::exited(code)), action, "{code}");
        }
    }
}
