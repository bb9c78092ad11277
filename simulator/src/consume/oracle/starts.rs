//! What must hold when commands start, and of how often a message was tried.

use amqp_tools::consume::Acknowledgement;
use amqp_tools::consume::run::{Action, DeliveryId, RunWork, ToCommand};

use crate::consume::Simulation;
use crate::world::Failure;

impl Simulation<'_> {
    pub(in crate::consume) fn judge_start(&mut self, id: DeliveryId) -> Result<(), Failure> {
        self.judge_command()?;
        self.judge_untold(id)?;
        self.judge_repetition(id)?;
        self.judge_work(id)
    }

    /// A batch has no more messages than it may, and only such that fit. One that is not full has waited.
    pub(super) fn judge_start_of_batch(&mut self, ids: &[DeliveryId]) -> Result<(), Failure> {
        let wrong = |what: &str| {
            Failure::of(
                "a batch has the messages that it may have",
                format!("{ids:?}: {what}"),
            )
        };
        let Some(batch) = self.scenario.batch() else {
            return Err(wrong("none is asked for"));
        };
        if ids.is_empty() || ids.len() > usize::from(batch.size.get()) {
            return Err(wrong("too many, or none"));
        }
        if ids.windows(2).any(|two| two[0] >= two[1]) {
            return Err(wrong("out of their order"));
        }
        if ids.iter().any(|id| self.is_unfit(*id)) {
            return Err(wrong("one does not fit"));
        }
        self.judge_command()?;
        for id in ids {
            self.judge_name(*id, &Action::StartBatch(ids.to_vec()))?;
            self.judge_untold(*id)?;
            self.judge_repetition(*id)?;
            self.judge_work(*id)?;
        }
        let first = ids.first().and_then(|id| self.oracle.record(*id).copied());
        let is_short = ids.len() < usize::from(batch.size.get());
        if let Some(first) = first.filter(|first| is_short && first.runs == 0) {
            self.reached.mark("a batch starts before it is full");
            let has_waited = first.arrived + batch.wait <= self.now;
            if !has_waited && self.scenario.options.limit.is_none() {
                return Err(wrong("it is not full and has not waited"));
            }
        }
        Ok(())
    }

    /// Whether it is in a batch that is run again in halves when it fails.
    pub(super) fn is_split(&self, id: DeliveryId) -> bool {
        let has_it = |ids: &&Vec<DeliveryId>| ids.contains(&id);
        let size = self.batches.values().rfind(has_it).map_or(1, Vec::len);
        size > 1 && self.scenario.batch().is_some_and(|batch| batch.splits)
    }

    fn judge_command(&mut self) -> Result<(), Failure> {
        let jobs = self.scenario.jobs();
        let is_command = self.scenario.options.work != RunWork::Print;
        if self.signals > 0 {
            return Err(Failure::of("nothing is started after a signal", ""));
        }
        if self.scenario.options.limit == Some(0) {
            return Err(Failure::of(
                "nothing is started where none is asked for",
                "",
            ));
        }
        if is_command && self.commands.len() >= jobs {
            return Err(Failure::of("no more commands run than there are jobs", ""));
        }
        self.oracle
            .limits
            .judge_start(&self.scenario.options, self.now, self.reached)
    }

    fn judge_work(&mut self, id: DeliveryId) -> Result<(), Failure> {
        let on_arrival = self.scenario.options.acknowledgement == Acknowledgement::OnArrival;
        let is_settled = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_settled);
        if self.is_lost(id) && !(on_arrival && is_settled) {
            return Err(Failure::of("no command runs for a lost delivery", ""));
        }
        self.judge_start_in_stream(id)?;
        let Some(record) = self.oracle.record(id) else {
            return Ok(());
        };
        if record.is_running || record.is_copying || (record.is_settled && !on_arrival) {
            return Err(Failure::of(
                "a message is worked on once at a time, before it is settled",
                format!("{record:?}"),
            ));
        }
        record.is_running = true;
        Ok(())
    }

    pub(super) fn judge_signal(
        &mut self,
        id: DeliveryId,
        signal: ToCommand,
    ) -> Result<(), Failure> {
        let is_running = self
            .oracle
            .record(id)
            .is_some_and(|record| record.is_running);
        if is_running {
            self.note_signalled(&self.batch(id));
            return Ok(());
        }
        Err(Failure::of(
            "a signal goes to a command that runs",
            format!("{id} {signal:?}"),
        ))
    }

    /// How often a message was tried, this time included, as the core says it when it starts a command or makes a copy.
    pub(super) fn judge_count(
        &mut self,
        id: DeliveryId,
        said: u64,
        is_start: bool,
    ) -> Result<(), Failure> {
        let Some(record) = self.oracle.record(id).copied() else {
            return Ok(());
        };
        let runs = if is_start { record.runs } else { 0 };
        let least = record.failures_before + u64::from(runs) + 1;
        // As long as it is not known whether the queue counts, an earlier delivery is taken for a failure. Without a limit nobody asks.
        let is_asked = self.scenario.options.failure.max_attempts.is_some();
        let is_unknown = is_start || !is_asked || !self.scenario.broker.tells_counting;
        let is_guessed = is_unknown && record.may_have_failed;
        if (least..=least + u64::from(is_guessed)).contains(&said) {
            return Ok(());
        }
        Err(Failure::of(
            "every attempt is counted once",
            format!("{said}, not {least}"),
        ))
    }
}
