//! What happens to the run from outside, and the calm after it.

use std::time::Duration;

use amqp_tools::consume::run::{DeliveryId, Event, FromBroker};
use amqp_tools::status::Status;

use super::broker::Processed;
use super::calendar::Pending;
use super::scenario::{Disturbance, Last, Trouble};
use super::{END_AFTER_SIGNAL, HEARTBEATS, PATIENCE, STUCK_RIVAL_STAYS, Simulation, lost};
use crate::world::Failure;

impl Simulation<'_> {
    pub(super) fn disturb(&mut self, disturbance: Disturbance) -> Result<(), Failure> {
        self.transcript
            .line(|| format!("                    {disturbance:?}"));
        match disturbance {
            Disturbance::Publish => {
                let can_be_copied = !self.choices.chance(4);
                self.broker.publish(can_be_copied, false);
            }
            Disturbance::Signal(signal) => return self.signal(signal),
            Disturbance::Break => self.break_connection(),
            Disturbance::HalfOpen => self.fall_silent(),
            Disturbance::TakeBack => {
                if self.broker.cancel_consumers(true) {
                    self.reached.mark("the broker takes deliveries back");
                }
            }
            Disturbance::DeleteQueue => {
                self.broker.delete_queue();
                if self.broker.cancel_consumers(false) {
                    self.reached.mark("the queue is deleted under a consumer");
                }
            }
            Disturbance::DeleteOutput => self.broker.output_was_deleted = true,
            Disturbance::RivalLeaves => self.broker.rival_leaves(),
        }
        Ok(())
    }

    pub(super) fn signal(&mut self, signal: i32) -> Result<(), Failure> {
        self.signals += 1;
        self.mark_signal();
        let bound = match (self.signals, self.scenario.options.grace) {
            (1, Some(grace)) => Some(grace + END_AFTER_SIGNAL),
            (1, None) if self.commands.is_empty() && self.children.is_empty() => {
                Some(END_AFTER_SIGNAL)
            }
            (1, None) => None,
            _ => Some(END_AFTER_SIGNAL),
        };
        if let Some(end) = bound.map(|bound| self.now + bound) {
            self.must_end_by = Some(self.must_end_by.map_or(end, |before| before.min(end)));
        }
        self.next_signal = self
            .calm_since
            .map(|_| self.now + bound.unwrap_or(END_AFTER_SIGNAL) + Duration::from_secs(1));
        self.oracle.last_signal = Some(self.now);
        self.tell(Event::Signal(signal))
    }

    /// From here on there are no surprises.
    pub(super) fn calm_down(&mut self) {
        let last = self.scenario.last;
        self.transcript.line(|| format!("from here on: {last:?}"));
        self.calm_since = Some(self.now);
        self.next_signal = Some(self.now + PATIENCE);
        self.scenario.trouble = Trouble {
            ignores_term: self.scenario.trouble.ignores_term,
            connect_fails: if last == Last::Gone { 100 } else { 0 },
            ..Trouble::default()
        };
        match last {
            Last::Healed => self.heal(),
            Last::Silent => self.is_stuck = true,
            Last::Gone => self.break_connection(),
        }
    }

    fn heal(&mut self) {
        self.is_stuck = false;
        if self.broker.is_rival_active && self.scenario.broker.rival_is_stuck {
            let then = self.now + STUCK_RIVAL_STAYS;
            self.calendar.add(then, Pending::RivalLeaves);
        } else {
            self.broker.rival_leaves();
        }
        let never_end: Vec<DeliveryId> = self
            .commands
            .iter()
            .filter(|(_, command)| command.end.is_none() && !command.is_told_to_end)
            .map(|(id, _)| *id)
            .collect();
        for id in never_end {
            self.plan_end(id, Duration::from_secs(1), Some((Status::SUCCESS, 0)));
        }
        self.heal_children();
        if !self.lines.is_empty() {
            self.calendar.add(self.now, Pending::Write);
        }
        for id in std::mem::take(&mut self.oracle.unanswered_copies) {
            self.calendar
                .add(self.now, Pending::CopyAnswered(id, false));
        }
        if std::mem::take(&mut self.oracle.is_counting_unanswered) {
            self.calendar.add(self.now, Pending::CountsAnswered);
        }
    }

    /// The connection breaks: what was written before may or may not have been processed, what was answered may or may not
    /// come.
    pub(super) fn break_connection(&mut self) {
        let Some(channel) = &self.broker.channel else {
            return;
        };
        if channel.is_closed {
            // Only what was answered is still to come.
            self.end_channel(0);
            return;
        }
        let written = channel.outgoing.len();
        let processed = if self.is_stuck {
            0
        } else {
            self.choices.index(written + 1)
        };
        if processed > 0 && processed < written {
            self.reached.mark("a part is processed before a break");
        }
        self.end_channel(processed);
    }

    /// The connection breaks, and the tool hears nothing of it before heartbeats are missed.
    fn fall_silent(&mut self) {
        self.break_connection();
        if let Some(channel) = &mut self.broker.channel {
            channel.incoming.clear();
            channel.incoming.push_back(lost(true));
            channel.silent_until = Some(self.now + HEARTBEATS);
            self.reached.mark("a connection is half open");
        }
    }

    pub(super) fn end_channel(&mut self, processed: usize) {
        for _ in 0..processed {
            if self.broker.process(false, self.reached) != Processed::GoesOn {
                break;
            }
        }
        self.broker.end_channel(self.reached);
        let Some(channel) = &mut self.broker.channel else {
            return;
        };
        let comes = self.choices.index(channel.incoming.len() + 1);
        channel.incoming.truncate(comes);
        let is_over =
            |event: &FromBroker| matches!(event, FromBroker::Lost(_) | FromBroker::Closed);
        if !channel.incoming.back().is_some_and(is_over) {
            channel.incoming.push_back(lost(true));
        }
    }
}
