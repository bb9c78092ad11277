//! amqp-consume's options for failed messages.

use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgAction, Args, Command};

use super::UsageError;
use super::duration::parse_duration;
use crate::consume::{DeliveryLimit, FailureAction, FailurePolicy, Rule};

const HEADING: &str = "Failure";
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The options as given.
#[derive(Args, Clone, Debug)]
pub(super) struct FailureArgs {
    /// Run a failed command up to N more times on the same message
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, help_heading = HEADING)]
    retries: u32,

    /// Pause before the first retry, doubled before each further one [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "retries", help_heading = HEADING)]
    retry_delay: Option<Duration>,

    /// What to do with a failed message: requeue, reject (dead-letter, or drop), ack, park (see --park), retry:DURATION (it waits in the broker) or stop (requeue, and end with its status) [default: requeue; in a stream stop]
    #[arg(long, value_name = "ACTION", value_parser = ActionParser, hide_possible_values = true, help_heading = HEADING)]
    on_failure: Option<FailureAction>,

    /// The same by exit status, such as 65=reject or 64-78,99=requeue; repeatable
    #[arg(long, value_name = "CODES=ACTION", value_parser = parse_rule, action = ArgAction::Append, help_heading = HEADING)]
    on_exit: Vec<Rule>,

    /// Reject a message that has failed N times; without a dead-letter exchange it is dropped, see --park
    #[arg(long, value_name = "N", help_heading = HEADING)]
    max_attempts: Option<NonZeroU64>,

    /// Queue for messages that are parked, or that have failed --max-attempts times
    #[arg(long, value_name = "QUEUE", help_heading = HEADING)]
    park: Option<String>,

    /// End after N failed messages in a row, with the last one's status
    #[arg(long, value_name = "N", conflicts_with = "json", help_heading = HEADING)]
    halt: Option<NonZeroU64>,

    /// The queue's delivery limit (0 = leave it to the broker): a message close to it is republished to the queue's tail [default: 20 with RabbitMQ 4.0 or later]
    #[arg(long, value_name = "N", help_heading = HEADING)]
    delivery_limit: Option<u64>,
}

/// The actions by name.
const ACTIONS: [(&str, FailureAction); 5] = [
    ("requeue", FailureAction::Requeue),
    ("reject", FailureAction::Reject),
    ("ack", FailureAction::Ack),
    ("park", FailureAction::Park),
    ("stop", FailureAction::Stop),
];

/// What stands before the time of an action that has one.
const RETRY: &str = "retry:";

/// The longest time that a broker keeps a message for (32 bits of milliseconds).
const LONGEST_WAIT: Duration = Duration::from_millis(u32::MAX as u64);

/// Takes an action. It names the actions, for completions.
#[derive(Clone)]
struct ActionParser;

impl TypedValueParser for ActionParser {
    type Value = FailureAction;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<FailureAction, clap::Error> {
        let parse: fn(&str) -> Result<FailureAction, String> = parse_action;
        parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = ACTIONS.iter().map(|(name, _)| *name);
        Some(Box::new(names.chain([RETRY]).map(PossibleValue::new)))
    }
}

fn parse_action(text: &str) -> Result<FailureAction, String> {
    if let Some(time) = text.strip_prefix(RETRY) {
        let time = parse_duration(time)?;
        let milliseconds = time.as_nanos().div_ceil(1_000_000);
        return match u64::try_from(milliseconds).map(Duration::from_millis) {
            Ok(time) if !time.is_zero() && time <= LONGEST_WAIT => Ok(FailureAction::Retry(time)),
            _ => Err("expected a time of 1ms to 49 days after retry:".to_owned()),
        };
    }
    let known = ACTIONS.iter().find(|(known, _)| *known == text);
    known.map(|(_, action)| *action).ok_or_else(|| {
        let names = ACTIONS.map(|(name, _)| name).join(", ");
        format!("'{text}' is none of {names}, retry:DURATION")
    })
}

impl FailureArgs {
    /// How often a command runs again, and the pause before the first time.
    pub(super) fn retries(&self) -> (u32, Duration) {
        (self.retries, self.retry_delay.unwrap_or(RETRY_DELAY))
    }

    /// The policy for failed messages.
    pub(super) fn policy(&self) -> Result<FailurePolicy, UsageError> {
        self.check_parking()?;
        Ok(FailurePolicy {
            action: self.on_failure,
            rules: self.on_exit.clone(),
            max_attempts: self.max_attempts,
            park: self.park.clone(),
            halt: self.halt,
            delivery_limit: self
                .delivery_limit
                .map_or(DeliveryLimit::Default, delivery_limit),
        })
    }

    /// Nothing is parked without a queue for it, and no such queue is named in vain.
    fn check_parking(&self) -> Result<(), UsageError> {
        let parks = self
            .on_exit
            .iter()
            .map(|rule| rule.action)
            .chain(self.on_failure)
            .any(|action| action == FailureAction::Park);
        let complaint = match self.park.as_deref() {
            Some("") => "--park needs the name of a queue",
            None if parks => "the action park needs --park QUEUE",
            Some(_) if !parks && self.max_attempts.is_none() => {
                "--park needs --max-attempts, or the action park"
            }
            _ => return Ok(()),
        };
        Err(UsageError(complaint.to_owned()))
    }

    /// Refuses to park messages in the queue that they come from: they would be parked again and again.
    pub(super) fn check_against_queue(&self, queue: Option<&str>) -> Result<(), UsageError> {
        if self.park.is_some() && self.park.as_deref() == queue {
            return Err(UsageError(
                "--park must name another queue than --queue".to_owned(),
            ));
        }
        Ok(())
    }

    /// One of the options for failed messages, if any is given.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        [
            ("--on-failure", self.on_failure.is_some()),
            ("--on-exit", !self.on_exit.is_empty()),
            ("--max-attempts", self.max_attempts.is_some()),
            ("--park", self.park.is_some()),
            ("--delivery-limit", self.delivery_limit.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}

fn delivery_limit(number: u64) -> DeliveryLimit {
    NonZeroU64::new(number).map_or(DeliveryLimit::Off, DeliveryLimit::Of)
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let (codes, action) = text
        .split_once('=')
        .ok_or("expected CODES=ACTION, such as 65=reject")?;
    let statuses = codes
        .split(',')
        .map(parse_codes)
        .collect::<Result<_, _>>()?;
    let action = parse_action(action)?;
    Ok(Rule { statuses, action })
}

/// `65` or `64-78`. 0 is not a failure.
fn parse_codes(text: &str) -> Result<RangeInclusive<u8>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
        _ => Err(format!(
            "'{text}' is no exit status of a failure, such as 65 or 64-78"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_statuses_and_an_action() {
        for (text, statuses, action) in [
            ("65=reject", vec![65..=65], FailureAction::Reject),
            ("64-78=requeue", vec![64..=78], FailureAction::Requeue),
            (
                "65,70,100-110=ack",
                vec![65..=65, 70..=70, 100..=110],
                FailureAction::Ack,
            ),
            ("1-255=reject", vec![1..=255], FailureAction::Reject),
            (
                "75=retry:1.5s",
                vec![75..=75],
                FailureAction::Retry(Duration::from_millis(1500)),
            ),
        ] {
            assert_eq!(parse_rule(text), Ok(Rule { statuses, action }), "{text}");
        }
    }

    #[test]
    fn a_delivery_limit_of_none_is_none() {
        assert_eq!(delivery_limit(0), DeliveryLimit::Off);
        assert_eq!(delivery_limit(1), DeliveryLimit::Of(NonZeroU64::MIN));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "65",
            "65=",
            "=reject",
            "65=drop",
            "0=ack",
            "0-3=ack",
            "256=ack",
            "9-5=ack",
            "5-=ack",
            "-5=ack",
            "5,=ack",
            "x=ack",
            "65=REJECT",
            "65=retry",
            "65=retry:",
            "65=retry:0s",
            "65=retry:soon",
            "65=retry:50000h",
        ] {
            assert!(parse_rule(text).is_err(), "{text}");
        }
    }
}
