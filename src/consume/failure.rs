//! What happens to failed messages.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use crate::status::Status;

/// What happens to failed messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// The action if no rule applies.
    pub action: FailureAction,
    /// Rules for certain exit statuses, in the order in which they were given.
    pub rules: Vec<Rule>,
    /// How often a message may fail; `None`: without limit.
    pub attempts: Option<AttemptLimit>,
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
    /// A copy is published to the parking queue, and the message is acknowledged. No option names this action: it is for a message
    /// that has failed too often.
    Park,
}

/// An action for certain exit statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The exit statuses.
    pub statuses: Vec<RangeInclusive<u8>>,
    /// The action.
    pub action: FailureAction,
}

/// How often a message may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    /// The failure that is the last.
    pub max_attempts: NonZeroU64,
    /// The queue that such a message is parked in; `None`: it is rejected.
    pub park: Option<String>,
}

impl FailurePolicy {
    /// What happens to a message whose command ended with `status`, which was the message's failure number `failures`.
    ///
    /// | action for the status | failures | `--park` | result |
    /// |---|---|---|---|
    /// | ack | any | | ack |
    /// | reject | any | | reject |
    /// | requeue | fewer than `--max-attempts`, or no limit | | requeue |
    /// | requeue | `--max-attempts` or more | no | reject |
    /// | requeue | `--max-attempts` or more | yes | park |
    pub(super) fn decide(&self, status: Status, failures: u64) -> FailureAction {
        match (self.action_for(status), &self.attempts) {
            (FailureAction::Requeue, Some(limit)) if failures >= limit.max_attempts.get() => {
                match &limit.park {
                    Some(_) => FailureAction::Park,
                    None => FailureAction::Reject,
                }
            }
            (action, _) => action,
        }
    }

    /// The queue for messages that have failed too often.
    pub(super) fn parking_queue(&self) -> Option<&str> {
        self.attempts.as_ref()?.park.as_deref()
    }

    /// The last rule that names the status decides, else the policy's own action.
    fn action_for(&self, status: Status) -> FailureAction {
        let names = |rule: &&Rule| {
            rule.statuses
                .iter()
                .any(|range| range.contains(&status.code()))
        };
        self.rules
            .iter()
            .rev()
            .find(names)
            .map_or(self.action, |rule| rule.action)
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
            action,
            rules: Vec::new(),
            attempts: max_attempts
                .and_then(NonZeroU64::new)
                .map(|max_attempts| AttemptLimit {
                    max_attempts,
                    park: park.map(str::to_owned),
                }),
            delivery_limit: DeliveryLimit::Default,
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let status = Status::exited(7);
        for (action, max_attempts, park, failures, expected) in [
            (FailureAction::Ack, None, None, 1, FailureAction::Ack),
            (
                FailureAction::Ack,
                Some(2),
                Some("bad"),
                2,
                FailureAction::Ack,
            ),
            (FailureAction::Reject, None, None, 1, FailureAction::Reject),
            (
                FailureAction::Reject,
                Some(3),
                Some("bad"),
                1,
                FailureAction::Reject,
            ),
            (
                FailureAction::Requeue,
                None,
                None,
                u64::MAX,
                FailureAction::Requeue,
            ),
            (
                FailureAction::Requeue,
                Some(3),
                Some("bad"),
                2,
                FailureAction::Requeue,
            ),
            (
                FailureAction::Requeue,
                Some(3),
                None,
                3,
                FailureAction::Reject,
            ),
            (
                FailureAction::Requeue,
                Some(3),
                None,
                4,
                FailureAction::Reject,
            ),
            (
                FailureAction::Requeue,
                Some(3),
                Some("bad"),
                3,
                FailureAction::Park,
            ),
            (
                FailureAction::Requeue,
                Some(3),
                Some("bad"),
                4,
                FailureAction::Park,
            ),
        ] {
            let policy = policy(action, max_attempts, park);
            assert_eq!(
                policy.decide(status, failures),
                expected,
                "{policy:?} {failures}"
            );
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
