//! What goes wrong, who interferes, and the time.

use std::time::Duration;

use amqp_tools::transfer::run::{Event, FromBroker, Time, Trouble};

use super::broker::Channel;
use super::scenario::Planned;
use super::{CLOSE_LIMIT, NOTICED_WITHIN, SIGTERM, Simulation};
use crate::world::Failure;

impl Simulation<'_> {
    /// Something goes wrong, or somebody interferes.
    pub(super) fn disturb(&mut self) -> Result<(), Failure> {
        let trouble = self.scenario.trouble;
        if self.broker.channel.is_some() && self.choices.chance(trouble.breaks) {
            self.break_connection()?;
        }
        if self.choices.chance(trouble.fills) {
            self.broker.is_full = !self.broker.is_full;
            let is_full = self.broker.is_full;
            self.transcript
                .line(|| format!("the target is full: {is_full}"));
        }
        if !self.broker.target_is_gone && self.choices.chance(trouble.target_goes) {
            self.broker.target_is_gone = true;
            let deafens = self.choices.chance(50);
            if let Some(channel) = &mut self.broker.channel {
                channel.is_deaf = deafens && !channel.outgoing.is_empty();
            }
            self.transcript.line(|| "the target is deleted".to_owned());
        }
        if !self.broker.source_is_gone && self.choices.chance(trouble.source_goes) {
            self.reached.mark("the source goes away");
            self.oracle.source_was_called_gone = true;
            self.broker.delete_source();
            self.transcript.line(|| "the source is deleted".to_owned());
        }
        if self.choices.chance(trouble.rival_takes) && self.broker.rival_takes() {
            self.transcript
                .line(|| "another consumer takes a message".to_owned());
        }
        if self.choices.chance(trouble.withheld) {
            self.broker.is_withheld = !self.broker.is_withheld;
            if self.broker.is_withheld {
                self.oracle.was_withheld = true;
                self.reached
                    .mark("the queue delivers nothing though it has messages");
            }
            let is_withheld = self.broker.is_withheld;
            self.transcript
                .line(|| format!("another consumer is the single active one: {is_withheld}"));
        }
        if self.latecomers > 0 && self.choices.chance(10) && !self.broker.source_is_gone {
            self.latecomers -= 1;
            let number = self.broker.planned.len() as u64;
            let planned = Planned::drawn(number, false, self.choices);
            self.broker.publish_to_source(planned);
        }
        if self.broker.channel.is_some() && self.choices.chance(trouble.report_fails) {
            self.oracle.report_has_failed = true;
            self.reached.mark("the lines cannot be written");
            self.tell(Event::CannotReport("the disk is full".to_owned()))?;
        }
        self.disturb_connection(trouble.pauses)?;
        if self.oracle.signals < 3 && self.choices.chance(trouble.signals) {
            self.signal()?;
        }
        Ok(())
    }

    fn disturb_connection(&mut self, pauses: u64) -> Result<(), Failure> {
        if !self.choices.chance(pauses) || self.closing_since.is_some() {
            return Ok(());
        }
        match &mut self.broker.channel {
            Some(channel) if channel.is_paused => self.resume(),
            Some(channel) if !channel.is_deaf => {
                channel.is_paused = true;
                if self.run.in_hand() > 0 {
                    self.reached.mark("paused with messages in hand");
                }
                self.tell_broker(FromBroker::Paused)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn resume(&mut self) -> Result<(), Failure> {
        if let Some(channel) = &mut self.broker.channel {
            channel.is_paused = false;
        }
        self.tell_broker(FromBroker::Resumed)
    }

    pub(super) fn signal(&mut self) -> Result<(), Failure> {
        self.oracle.signals += 1;
        self.last_signal = Some(self.now);
        self.overslept = Time::ZERO;
        self.reached.mark(if self.oracle.signals > 1 {
            "a second signal"
        } else if self.is_connecting {
            "a signal while connecting"
        } else if self.closing_since.is_some() {
            "a signal while closing"
        } else if self.run.in_hand() > 0 {
            "a signal with messages in hand"
        } else {
            "a signal"
        });
        self.tell(Event::Signal(SIGTERM))
    }

    /// The connection ends between any two bytes: the broker has processed a part of what was sent, and a part of what it
    /// said has come.
    pub(super) fn break_connection(&mut self) -> Result<(), Failure> {
        self.breaks += 1;
        self.oracle.was_lost = true;
        let unprocessed = self
            .broker
            .channel
            .as_ref()
            .map_or(0, |channel| channel.outgoing.len());
        for _ in 0..self.choices.index(unprocessed + 1) {
            self.reached
                .mark("the broker handled what it never confirmed");
            if let Err(reason) = self.broker.process_next(false, self.reached)
                && reason.starts_with("unknown")
            {
                return Err(Failure::of(
                    "only what was delivered is answered for",
                    reason,
                ));
            }
        }
        self.transcript.line(|| "the connection breaks".to_owned());
        self.is_draining = true;
        let was_closing = self.closing_since.take().is_some();
        while self
            .broker
            .channel
            .as_ref()
            .is_some_and(Channel::has_said_something)
            && !was_closing
            && self.choices.chance(70)
        {
            self.tell_answer()?;
        }
        self.is_draining = false;
        let Some(channel) = &self.broker.channel else {
            // What had come has ended it.
            return Ok(());
        };
        if Self::has_confirmed_in_hand(channel, self.run.in_hand()) {
            self.reached
                .mark("it breaks between confirmation and acknowledgement");
        }
        self.lose("the connection broke")
    }

    fn lose(&mut self, reason: &str) -> Result<(), Failure> {
        self.oracle.was_lost = true;
        let at_once = !self.choices.chance(40);
        self.broker.end_connection(at_once, self.reached);
        if self.broker.has_held() {
            self.noticed_at = Some(self.now + NOTICED_WITHIN);
        }
        self.tell_broker(FromBroker::Lost(Trouble {
            reason: reason.to_owned(),
            may_pass: true,
        }))
    }

    /// Some time passes.
    pub(super) fn pass_time(&mut self) -> Result<(), Failure> {
        let some = self.choices.one_of(&[0, 1, 200, 6_000, 31_000]);
        let time = match (some, self.next_time()) {
            (0, Some(time)) => time,
            (some, _) => self.now + Duration::from_millis(some),
        };
        self.let_time_pass_until(time)
    }

    pub(super) fn let_time_pass_until(&mut self, time: Time) -> Result<(), Failure> {
        if let Some(due) = self.next_time() {
            self.overslept += time.saturating_sub(due.max(self.now));
        }
        self.now = self.now.max(time);
        if self.noticed_at.is_some_and(|noticed| self.now >= noticed) {
            self.notice();
        }
        if self
            .closing_since
            .is_some_and(|since| self.now >= since + CLOSE_LIMIT)
        {
            self.closing_since = None;
            return self.lose("the close was not answered");
        }
        self.tell(Event::Time)
    }
}
