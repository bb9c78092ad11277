//! Commands: they are started for a message or a batch, and their ends become events.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::result::CommandResult;
use super::{Driver, framing};
use crate::consume::framing as framed;
use crate::consume::joblog::CommandStart;
use crate::consume::options::{CommandWork, Work};
use crate::consume::output::{Collected, Pipes};
use crate::consume::process::children::{ChildOutput, EndedChild};
use crate::consume::process::command::Launcher;
use crate::consume::process::conversation::Outgoing;
use crate::consume::process::environment;
use crate::consume::process::headers_file::HeadersFile;
use crate::consume::run::{DeliveryId, Event};
use crate::reason::reason;
use crate::status::Status;
use crate::system::stderr::{say, warn};

impl Driver {
    pub(super) fn start_command(
        &mut self,
        id: DeliveryId,
        attempt: u64,
        work: &CommandWork,
    ) -> Result<(), Event> {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return Ok(());
        };
        let mut variables = environment::variables(
            &delivery.message,
            &self.queue,
            delivery.redelivered,
            delivery.tag,
            attempt,
        );
        delivery.headers_file = HeadersFile::instead_of_variable(&delivery.message, &mut variables)
            .map_err(|error| cannot_start(id, work, (Status::FAILURE, error)))?;
        if delivery.headers_file.is_some() {
            say(
                "a message's headers are too large for the environment: its command has AMQP_HEADERS_FILE, and no AMQP_HEADERS",
            );
        }
        self.commands_started += 1;
        delivery.start = Some(CommandStart::now(self.commands_started));
        let message_id = delivery.message.properties.message_id.clone();
        let tag = message_id.filter(|id| !id.is_empty());
        let tag = tag.unwrap_or_else(|| self.commands_started.to_string());
        let body = Arc::clone(&delivery.body);
        self.launch(id, &variables, &body, &tag, work)
            .map_err(|failure| cannot_start(id, work, failure))
    }

    /// Starts a command with that standard input.
    fn launch(
        &mut self,
        id: DeliveryId,
        variables: &[(&'static str, Option<OsString>)],
        input: &Arc<Vec<u8>>,
        tag: &str,
        work: &CommandWork,
    ) -> Result<(), (Status, io::Error)> {
        let by_machine = |error| (Status::FAILURE, error);
        let launcher = match &mut self.launcher {
            Some(launcher) => launcher,
            none => none.insert(Launcher::new(work).map_err(by_machine)?),
        };
        let number = self.commands_started;
        let (pipes, output) = match &mut self.collectors {
            None => (Pipes::default(), ChildOutput::Inherited),
            Some(collectors) => {
                let (pipes, collector) = collectors.start(number, tag).map_err(by_machine)?;
                (pipes, ChildOutput::Pending(number, collector))
            }
        };
        let started = launcher.start(variables, input, &pipes)?;
        self.children.add(id, started, output);
        self.monitor.started();
        Ok(())
    }

    /// Starts a command for all of these. The first one stands for them.
    pub(super) fn start_batch(&mut self, ids: Vec<DeliveryId>) {
        let (Work::Command(work), Some(&first)) = (&self.options.work, ids.first()) else {
            return;
        };
        let work = Arc::clone(work);
        self.commands_started += 1;
        let start = CommandStart::now(self.commands_started);
        for id in &ids {
            if let Some(delivery) = self.deliveries.get_mut(id)
                && delivery.start.replace(start).is_none()
            {
                self.monitor.begun(&delivery.message);
            }
        }
        let input = Arc::new(self.framed(&ids));
        let variables = environment::of_batch(&self.queue, ids.len());
        let tag = self.commands_started.to_string();
        match self.launch(first, &variables, &input, &tag, &work) {
            Ok(()) => drop(self.batches.insert(first, ids)),
            Err(failure) => self.pending.push_back(cannot_start(first, &work, failure)),
        }
    }

    /// The standard input of a command for these messages.
    fn framed(&mut self, ids: &[DeliveryId]) -> Vec<u8> {
        let mut outgoing = Outgoing::default();
        let Some(framing) = framing(&self.options.work) else {
            return Vec::new();
        };
        for id in ids {
            if let Some(delivery) = self.deliveries.get_mut(id) {
                framed::add(
                    &mut outgoing,
                    framing,
                    &mut delivery.message,
                    &mut delivery.body,
                    delivery.redelivered,
                );
            }
        }
        outgoing.to_vec()
    }

    /// What the end of a command is to the core.
    pub(super) fn command_ended(&mut self, ended: EndedChild) -> Event {
        let mut status = ended.status;
        let mut ran = Duration::ZERO;
        if let Some(delivery) = self.deliveries.get_mut(&ended.id) {
            delivery.headers_file = None;
            ran = delivery.start.map_or(ran, |start| start.instant.elapsed());
        }
        self.monitor.ended(ran);
        let ids = self.batches.remove(&ended.id);
        let ids = ids.unwrap_or_else(|| vec![ended.id]);
        let mut output = 0;
        if let Some(collected) = ended.collected {
            if (collected.is_over_limit || collected.is_lost) && status.is_success() {
                status = Status::FAILURE;
            }
            output = self.keep_result(&ids, collected);
        }
        Event::CommandEnded {
            id: ended.id,
            status,
            signal: ended.signal,
            output,
        }
    }

    /// Keeps what a command wrote that ran for these messages, until the core decides about them. Returns how many bytes of output
    /// these are.
    fn keep_result(&mut self, ids: &[DeliveryId], collected: Collected) -> usize {
        if collected.is_over_limit && self.teller.may_tell() {
            warn(
                "a command wrote more to standard output than --output-limit allows; it has failed",
            );
        }
        for id in ids.iter().skip(1) {
            if let Some(delivery) = self.deliveries.get_mut(id) {
                delivery.result.error.clone_from(&collected.error);
            }
        }
        let first = ids.first().and_then(|id| self.deliveries.get_mut(id));
        first.map_or(0, |delivery| {
            delivery.result = CommandResult::of(collected, ids.len() > 1);
            delivery.result.size()
        })
    }
}

fn cannot_start(id: DeliveryId, work: &CommandWork, (status, error): (Status, io::Error)) -> Event {
    let reason = cannot_start_reason(work, status, &error);
    Event::CannotStart { id, status, reason }
}

pub(super) fn cannot_start_reason(work: &CommandWork, status: Status, error: &io::Error) -> String {
    let what = if status == Status::FAILURE {
        "starting a command".into()
    } else {
        work.program.to_string_lossy()
    };
    format!("{what}: {}", reason(error))
}
