//! What must hold, seen from outside the core.

use std::collections::{BTreeMap, BTreeSet};

use amqp_tools::transfer::run::{Action, Ended, Extent, Run, Tag};

use super::broker::{Broker, Channel};
use super::scenario::Scenario;
use crate::world::Failure;

/// More messages than this are never asked for at once.
const MOST_PREFETCH: u16 = 1000;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle {
    /// The last delivery whose copy was published on this connection.
    published: Tag,
    /// The last delivery that was answered for on this connection.
    answered: Tag,
    /// A copy was told to have been returned or rejected.
    pub(super) is_refused: bool,
    pub(super) signals: u32,
    /// The connection was lost, given up, or could not be made.
    pub(super) was_lost: bool,
    pub(super) report_has_failed: bool,
    pub(super) source_was_called_gone: bool,
    pub(super) target_was_called_gone: bool,
    pub(super) was_unfit: bool,
    pub(super) was_withheld: bool,
    pub(super) is_closed_in_order: bool,
}

type Verdict = Result<(), Failure>;

impl Oracle {
    pub(super) fn connection_begins(&mut self) {
        self.published = 0;
        self.answered = 0;
    }

    /// Each action, before it is carried out.
    pub(super) fn judge_action(&mut self, action: &Action, channel: Option<&Channel>) -> Verdict {
        match (action, channel) {
            (Action::Publish(tag), _) => {
                if self.is_refused {
                    return fail("nothing is published after a refusal", format!("{tag}"));
                }
                if *tag != self.published + 1 {
                    return fail("copies are published in order, once", format!("{tag}"));
                }
                self.published = *tag;
            }
            (Action::Ack(tag), Some(channel)) => {
                let unproven = (self.answered + 1..=*tag)
                    .find(|covered| !channel.told_confirmed.contains(covered));
                if let Some(unproven) = unproven {
                    return fail(
                        "only what has a confirmed copy is acknowledged",
                        format!("{tag} covers {unproven}"),
                    );
                }
                self.answer(*tag)?;
            }
            (Action::Return(tag), Some(_)) => self.answer(*tag)?,
            (Action::Subscribe(_, prefetch), _) if !(1..=MOST_PREFETCH).contains(prefetch) => {
                return fail("the prefetch is bounded", format!("{prefetch}"));
            }
            (Action::Connect(..), _) if self.is_refused => {
                return fail("nothing is begun anew after a refusal", String::new());
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, tag: Tag) -> Verdict {
        if tag <= self.answered {
            return fail("each delivery is answered for once", format!("{tag}"));
        }
        self.answered = tag;
        Ok(())
    }

    /// The state after each event.
    pub(super) fn judge_state(run: &Run, broker: &Broker) -> Verdict {
        let certain = run.tally().moved;
        let gone = broker.acknowledged.len() as u64;
        if certain > gone {
            return fail(
                "what counts as moved is gone from the source",
                format!("{certain} count, {gone} are gone"),
            );
        }
        Ok(())
    }

    /// The end. What the last connection held is back in the source by now.
    pub(super) fn judge_end(
        &self,
        ended: &Ended,
        run: &Run,
        scenario: &Scenario,
        broker: &Broker,
    ) -> Verdict {
        Self::judge_places(broker)?;
        if !self.was_lost {
            Self::judge_undisturbed(ended, broker)?;
        }
        let tally = run.tally();
        match ended {
            Ended::Complete => self.judge_success(run, scenario, broker),
            Ended::Interrupted(_) if self.signals == 0 => {
                fail("only a signal interrupts", format!("{tally:?}"))
            }
            Ended::Interrupted(_) => Ok(()),
            Ended::Failed(reason) => {
                let has_reason = self.is_refused
                    || self.was_lost
                    || self.report_has_failed
                    || self.source_was_called_gone
                    || self.target_was_called_gone
                    || self.was_unfit
                    || self.was_withheld
                    // Whoever takes each message before it is delivered looks like a single active consumer.
                    || (scenario.latecomers > 0 && !broker.taken_by_rival.is_empty());
                if has_reason {
                    Ok(())
                } else {
                    fail("a failure has a reason", reason.clone())
                }
            }
        }
    }

    /// Where messages are that are alike cannot be told apart, and need not.
    fn judge_places(broker: &Broker) -> Verdict {
        if broker.source_is_gone {
            // It took its messages along; those that were acknowledged before have a copy.
            return Self::judge_copies(broker, broker.acknowledged.iter().copied());
        }
        let all = 0..broker.planned.len();
        let lost = all.filter(|number| {
            !broker.is_in_source(*number) && !broker.taken_by_rival.contains(number)
        });
        Self::judge_copies(broker, lost)
    }

    /// All these are in the target, or others that are alike, once each.
    fn judge_copies(broker: &Broker, numbers: impl Iterator<Item = usize>) -> Verdict {
        let fingerprint = |number: usize| broker.planned[number].fingerprint;
        let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
        for number in &broker.target {
            *copies.entry(fingerprint(*number)).or_default() += 1;
        }
        for number in numbers {
            match copies.get_mut(&fingerprint(number)) {
                Some(count) if *count > 0 => *count -= 1,
                _ => return fail("no message is lost", format!("{number} is nowhere")),
            }
        }
        Ok(())
    }

    fn judge_undisturbed(ended: &Ended, broker: &Broker) -> Verdict {
        let different: BTreeSet<_> = broker.target.iter().collect();
        if different.len() < broker.target.len() {
            return fail(
                "on one connection nothing is copied twice",
                format!("{:?}", broker.target),
            );
        }
        if !broker.target.is_sorted() {
            return fail(
                "on one connection copies keep the order",
                format!("{:?}", broker.target),
            );
        }
        let in_both = broker
            .target
            .iter()
            .find(|number| broker.is_in_source(**number));
        if let (Some(number), Ended::Complete) = (in_both, ended) {
            return fail(
                "after success nothing is in both places",
                format!("{number} is"),
            );
        }
        Ok(())
    }

    fn judge_success(&self, run: &Run, scenario: &Scenario, broker: &Broker) -> Verdict {
        if self.is_refused {
            return fail("success means that nothing was refused", String::new());
        }
        if broker.has_dropped && !self.was_lost {
            return fail("the close drops no acknowledgement", String::new());
        }
        if !(self.is_closed_in_order || self.was_lost) {
            return fail("success means that the close was answered", String::new());
        }
        let tally = run.tally();
        let count = scenario.options.count.map(u64::from);
        let is_counted = tally.goal == Some(tally.moved);
        if is_counted {
            return Ok(());
        }
        if tally.goal.is_some_and(|goal| tally.moved > goal) {
            return fail("no more is moved than was asked for", format!("{tally:?}"));
        }
        if scenario.options.extent == Extent::Follow {
            return fail(
                "who follows ends only with the count",
                format!("{tally:?}, {count:?}"),
            );
        }
        if broker.was_empty {
            Ok(())
        } else {
            fail(
                "success means that all was moved, or that the source was empty",
                format!("{tally:?}"),
            )
        }
    }
}

fn fail(property: &'static str, details: String) -> Verdict {
    Err(Failure::of(property, details))
}
