//! What comes by the calendar.

use std::time::Duration;

use amqp_tools::consume::run::Event;

use super::calendar::Pending;
use super::scenario::delay;
use super::{Simulation, Wire};
use crate::world::Failure;

impl Simulation<'_> {
    /// Puts on the calendar what the connection has to do.
    pub(super) fn schedule_wire(&mut self) {
        for message in std::mem::take(&mut self.broker.newly_delayed) {
            self.reached.mark("a queue delays a message");
            let delay = self.scenario.broker.delayed_retry.unwrap_or_default();
            self.calendar
                .add(self.now + delay, Pending::DelayEnds(message));
        }
        for (message, time) in self.broker.waiting.take_new() {
            self.reached.mark("a message waits in the broker");
            self.calendar
                .add(self.now + time, Pending::WaitEnds(message));
        }
        let Some(channel) = &self.broker.channel else {
            return;
        };
        let number = channel.number;
        let slowest = self.scenario.trouble.broker_delay;
        if !channel.outgoing.is_empty()
            && !self.is_stuck
            && !self.calendar.has(&Pending::Process(number))
        {
            let then = self.now + delay(self.choices, slowest);
            self.calendar.add(then, Pending::Process(number));
        }
        if !channel.incoming.is_empty() && !self.calendar.has(&Pending::Incoming(number)) {
            let then = self.now + delay(self.choices, slowest.min(4));
            let then = then.max(channel.silent_until.unwrap_or_default());
            self.calendar.add(then, Pending::Incoming(number));
        }
        if self.broker.leader_is_behind()
            && !self.is_stuck
            && !self.calendar.has(&Pending::Leader(number))
        {
            let slowest = if self.is_calm() {
                1
            } else {
                self.scenario.broker.leader_lag
            };
            let then = self.now + delay(self.choices, slowest);
            self.calendar.add(then, Pending::Leader(number));
        }
        let rival = self.broker.is_rival_active && self.broker.ready() > 0;
        let rival = rival && !self.scenario.broker.rival_is_stuck;
        if rival && !self.is_calm() && !self.calendar.has(&Pending::RivalWorks) {
            let then = self.now + Duration::from_secs(1) + delay(self.choices, 6);
            self.calendar.add(then, Pending::RivalWorks);
        }
    }

    /// Something comes that was on the calendar.
    pub(super) fn happen(&mut self, pending: Pending) -> Result<(), Failure> {
        match pending {
            Pending::Connected(number) => self.connected(number),
            Pending::Process(number) if self.is_present(number) => self.process(),
            Pending::Incoming(number) if self.is_present(number) => self.hear(),
            Pending::Leader(number) if self.is_present(number) => {
                let count = 1 + self.choices.index(3);
                self.broker.lead(count);
                Ok(())
            }
            Pending::CloseLimit(number) if self.is_present(number) => {
                if self.wire == Wire::Closing {
                    self.reached.mark("a close is not answered");
                    self.break_connection();
                    if let Some(channel) = &mut self.broker.channel {
                        channel.silent_until = None;
                    }
                    self.transcript
                        .line(|| "the close took too long".to_owned());
                }
                Ok(())
            }
            Pending::Process(_)
            | Pending::Incoming(_)
            | Pending::Leader(_)
            | Pending::CloseLimit(_) => Ok(()),
            Pending::CommandEnds(id, plan) => self.command_ends(id, plan),
            Pending::ChildActs(child) => self.child_acts(child),
            Pending::ChildEnds(child, plan) => self.child_ends(child, plan),
            Pending::Write => self.write(),
            Pending::CopyArrives(id, copy) => {
                for id in self.published_with(id, copy) {
                    self.broker.put_copy(id, copy);
                }
                Ok(())
            }
            Pending::CopyAnswered(id, is_done) => self.copy_answered(id, is_done),
            Pending::CountsAnswered => {
                let kind = self.scenario.broker;
                let answer = kind.tells_counting.then_some(kind.is_quorum);
                self.tell(Event::CountsDeliveries(answer))
            }
            Pending::DelayEnds(message) => {
                self.broker.delay_ends(message);
                Ok(())
            }
            Pending::RivalLeaves => {
                let judged = self.judge_held_beside_rival();
                self.broker.rival_leaves();
                judged
            }
            Pending::WaitEnds(message) => {
                self.reached.mark("the wait of a message is over");
                self.broker.wait_ends(message);
                Ok(())
            }
            Pending::RivalWorks => {
                if !self.is_calm() {
                    self.broker.rival_works();
                }
                Ok(())
            }
        }
    }
}
