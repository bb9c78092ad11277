//! What must hold at the end, and of the exit status.

use std::collections::BTreeSet;

use amqp_tools::consume::run::{DeliveryId, RunWork};
use amqp_tools::consume::{Acknowledgement, DeliveryLimit};
use amqp_tools::status::Status;

use super::Record;
use crate::consume::message::Why;
use crate::consume::scenario::UNUSED;
use crate::consume::{Disturbance, Simulation, Wire};
use crate::world::Failure;

impl Simulation<'_> {
    /// What must hold at the end.
    pub(in crate::consume) fn judge_end(&mut self) -> Result<(), Failure> {
        let Some(ended) = self.run.ended() else {
            return Ok(());
        };
        self.transcript.line(|| format!("{ended:?}"));
        if self.signals > 0 {
            self.reached.mark("signals end it");
        }
        // What the driver leaves behind ends with the process.
        if self.wire != Wire::None {
            return Err(Failure::of("it ends without a connection", ""));
        }
        let kept = self.oracle.records.iter().position(|one| !one.is_forgotten);
        if let Some(index) = kept {
            return Err(Failure::of(
                "every delivery is forgotten",
                format!("{}", index + 1),
            ));
        }
        let is_command = self.scenario.options.work != RunWork::Print;
        if is_command && self.oracle.logged != self.oracle.ended_commands {
            return Err(Failure::of(
                "every end of a command is logged once",
                format!("{} of {}", self.oracle.logged, self.oracle.ended_commands),
            ));
        }
        self.judge_drops()?;
        self.judge_end_of_stream(ended == Ok(Status::SUCCESS))?;
        let lost = self.lost_on_arrival();
        let told = self.oracle.losses_told + self.oracle.doubts;
        if told < lost {
            return Err(Failure::of(
                "a message that is lost by its acknowledgement on arrival is told, or is in doubt",
                format!("{told} of {lost}"),
            ));
        }
        if self.oracle.doubts < self.broker.lost_settlements && !self.scenario.is_stream() {
            return Err(Failure::of(
                "what is in doubt is told",
                format!("{} of {}", self.oracle.doubts, self.broker.lost_settlements),
            ));
        }
        let mut outputs = self.broker.outputs.clone();
        outputs.sort_unstable();
        if outputs.windows(2).any(|two| two[0] == two[1]) {
            self.reached.mark("an output is there twice");
        }
        if ended
            .as_ref()
            .is_err_and(|reason| reason.contains("(gave up after"))
        {
            self.reached.mark("connections break for too long");
            if self.now < self.scenario.options.retry {
                return Err(Failure::of(
                    "connections are opened for as long as --retry says",
                    "",
                ));
            }
        }
        if ended
            .as_ref()
            .is_err_and(|reason| reason.starts_with("--max-time"))
        {
            self.reached.mark("the time is over without a connection");
            if !self.scenario.is_time_over(self.now) || self.wire != Wire::None {
                return Err(Failure::of("the time is over when the tool says so", ""));
            }
            self.oracle.has_trouble = true;
        } else if self.scenario.is_time_over(self.now) {
            self.reached.mark("the time is over");
        }
        let error_status = self.scenario.options.error_status;
        let status = ended.unwrap_or(error_status);
        self.oracle.limits.judge_status(status)?;
        self.judge_status(status)
    }

    /// Another worker has had the role of the single active consumer for long: a message that failed must not be held here.
    pub(in crate::consume) fn judge_held_beside_rival(&mut self) -> Result<(), Failure> {
        let is_listening = self.wire == Wire::Open && !self.is_stuck && self.run.ended().is_none();
        if !is_listening || !self.broker.is_rival_active || self.broker.ready() == 0 {
            return Ok(());
        }
        self.reached
            .mark("another worker has the role and is stuck");
        // What cannot be published or copied is held for another reason.
        let is_held = |(index, record): (usize, &Record)| {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let has_failed = record.runs > 0 && record.last != Some(Status::SUCCESS);
            let is_busy = record.is_running || record.is_copying || record.is_refused;
            let is_kept = !record.is_settled && !record.is_forgotten;
            let can_go_back = self.broker.messages[message].can_be_copied;
            has_failed && is_kept && !is_busy && can_go_back
        };
        match self.oracle.records.iter().enumerate().position(is_held) {
            None => Ok(()),
            Some(index) => Err(Failure::of(
                "a failed message goes back where another worker has the role",
                format!("{}", index + 1),
            )),
        }
    }

    /// A run that knows the queue's delivery limit lets the broker drop nothing.
    fn judge_drops(&mut self) -> Result<(), Failure> {
        let kind = self.scenario.broker;
        let Some(limit) = kind.limit else {
            return Ok(());
        };
        let is_known = match self.scenario.options.failure.delivery_limit {
            DeliveryLimit::Default => kind.tells_limit,
            DeliveryLimit::Off => false,
            DeliveryLimit::Of(told) => told.get() <= limit,
        };
        let dropped = self.broker.count_gone(Why::Dropped);
        if is_known && !kind.counts_nacks && self.oracle.breaks == 0 && dropped > 0 {
            return Err(Failure::of(
                "the broker drops nothing where its limit is known",
                format!("{dropped}"),
            ));
        }
        Ok(())
    }

    fn judge_status(&mut self, status: Status) -> Result<(), Failure> {
        let options = &self.scenario.options;
        let on_arrival = options.acknowledgement == Acknowledgement::OnArrival;
        let done = if self.scenario.is_stream() {
            self.oracle.stream.successes()
        } else if on_arrival {
            self.done_on_arrival()
        } else {
            self.broker.count_gone(Why::Succeeded)
        };
        let left = if self.scenario.is_stream() {
            self.broker.messages.len() - self.oracle.stream.done()
        } else {
            self.broker.in_queue()
        };
        let handled = self.oracle.successes + self.oracle.failures;
        if status == UNUSED && handled > 0 {
            return Err(Failure::of(
                "the status for no message is that of no message",
                format!("{handled} were handled"),
            ));
        }
        let is_excused = self.oracle.has_trouble || self.oracle.failures > 0;
        if !status.is_success() {
            if status == UNUSED || is_excused || self.was_disturbed() {
                return Ok(());
            }
            return Err(Failure::of(
                "a failure has its reason",
                format!("status {}", status.code()),
            ));
        }
        let has_end = options.idle_timeout.is_some() || options.max_time.is_some();
        if options.limit.is_none() && !has_end {
            return Err(Failure::of("a run without an end does not succeed", ""));
        }
        if options.limit.is_some() && self.oracle.failures > 0 {
            return Err(Failure::of(
                "with a count, success is that every command succeeded",
                format!("{} failed", self.oracle.failures),
            ));
        }
        if self.oracle.held_to_the_end > 0 {
            return Err(Failure::of(
                "a message that is held to the end makes it no success",
                format!("{}", self.oracle.held_to_the_end),
            ));
        }
        let (delayed, given_back) = self.broker.delayed();
        if options.limit.is_none() && given_back > 0 {
            return Err(Failure::of(
                "a failed message that was not seen again makes it no success",
                format!("{given_back} are delayed"),
            ));
        }
        self.judge_waiting()?;
        // A message can be among several of these, for example a delayed one that came back after another copy of it.
        let excused = delayed + self.broker.waiting.count() + self.broker.twins();
        let left = left.saturating_sub(excused);
        let is_counted = options.limit.is_some_and(|limit| done >= limit);
        if is_counted {
            return Ok(());
        }
        if !has_end {
            return Err(Failure::of(
                "success is that as many are done as were asked for",
                format!("{done} of {:?}", options.limit),
            ));
        }
        let drains = options
            .idle_timeout
            .is_some_and(|timeout| timeout.is_zero());
        if drains
            && !self.scenario.is_time_over(self.now)
            && left > 0
            && self.scenario.is_static()
            && !options.queue_ends_with_consumer
        {
            return Err(Failure::of(
                "a drained queue is empty",
                format!("{left} are left"),
            ));
        }
        Ok(())
    }

    /// A message that the tool knows to wait in the broker makes it no success.
    fn judge_waiting(&self) -> Result<(), Failure> {
        let known = self.broker.waiting.known();
        // Another worker may have had the one that the tool saw.
        let is_ours = self.scenario.options.limit.is_none()
            && self.scenario.is_static()
            && self.oracle.breaks == 0;
        if !is_ours || known == 0 {
            return Ok(());
        }
        Err(Failure::of(
            "a message that waits in the broker makes it no success",
            format!("{known} wait"),
        ))
    }

    /// How many succeeded whose acknowledgement, sent on arrival, came to the queue.
    fn done_on_arrival(&self) -> u64 {
        let is_done = |(index, record): &(usize, &Record)| {
            let has_succeeded = record.is_written || record.last == Some(Status::SUCCESS);
            let message = self.broker.message_of(*index as DeliveryId + 1);
            has_succeeded && self.broker.messages[message].gone.is_some()
        };
        let done = self.oracle.records.iter().enumerate().filter(is_done);
        done.count() as u64
    }

    /// How many messages are gone by their acknowledgement on arrival though their commands neither succeeded nor failed for good.
    fn lost_on_arrival(&self) -> u64 {
        let RunWork::Command { retries, .. } = self.scenario.options.work else {
            return 0;
        };
        let is_over =
            |record: &Record| record.last == Some(Status::SUCCESS) || record.runs > retries;
        let mut lost = BTreeSet::new();
        for id in 1..=self.oracle.records.len() as DeliveryId {
            let message = self.broker.message_of(id);
            if self.broker.messages[message].gone == Some(Why::OnArrival) {
                lost.insert(message);
            }
        }
        for (index, record) in self.oracle.records.iter().enumerate() {
            let message = self.broker.message_of(index as DeliveryId + 1);
            let is_unfit = self.broker.messages[message].is_unfit && record.runs > 0;
            if is_over(record) || is_unfit {
                lost.remove(&message);
            }
        }
        lost.len() as u64
    }

    fn was_disturbed(&self) -> bool {
        let is_trouble = |(_, one): &(u64, Disturbance)| *one != Disturbance::Publish;
        self.scenario.broker.has_rival || self.scenario.disturbances.iter().any(is_trouble)
    }
}
