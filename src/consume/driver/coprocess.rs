//! Children that get message after message, and answer on descriptor 3.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use rustix::event::PollFd;

use super::commands::cannot_start_reason;
use super::result::CommandResult;
use super::{Driver, framing};
use crate::consume::answer;
use crate::consume::framing as framed;
use crate::consume::joblog::CommandStart;
use crate::consume::options::{CommandWork, Form, Work};
use crate::consume::output::Pipes;
use crate::consume::process::children::{ChildOutput, EndedChild};
use crate::consume::process::command::Launcher;
use crate::consume::process::conversation::{Conversation, Heard};
use crate::consume::process::environment;
use crate::consume::run::{Answer, ChildNumber, DeliveryId, Event};
use crate::status::Status;
use crate::system::stderr::warn;

/// How long an answer may be that has no output in it.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How many characters of JSON a byte of output takes at most (`\u0000`).
const LONGEST_ESCAPE: usize = 6;

/// How much of a child's answers is read at once.
const PIECE: usize = 64 * 1024;

/// The pipes to all children.
#[derive(Default)]
pub(super) struct Conversations {
    children: BTreeMap<ChildNumber, Talk>,
    buffer: Vec<u8>,
}

/// The pipes to a child, and what it has to answer.
struct Talk {
    pipes: Conversation,
    owed: VecDeque<DeliveryId>,
}

impl Conversations {
    /// Writes what is to be written, as far as pipes take it.
    pub(super) fn flush(&mut self) {
        for talk in self.children.values_mut() {
            talk.pipes.flush();
        }
    }

    /// What to wait for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.children.values().flat_map(|talk| talk.pipes.awaited())
    }

    /// Takes note of what has come, in the order of [`Conversations::awaited`].
    pub(super) fn note(&mut self, mut have_come: impl Iterator<Item = bool>) {
        for talk in self.children.values_mut() {
            talk.pipes.note(&mut have_come);
        }
    }

    pub(super) fn close_input(&mut self, child: ChildNumber) {
        if let Some(talk) = self.children.get_mut(&child) {
            talk.pipes.close_input();
        }
    }

    /// What a child has said.
    fn next(&mut self) -> Option<(ChildNumber, Vec<Heard>)> {
        let buffer = &mut self.buffer;
        buffer.resize(PIECE, 0);
        let mut all = self.children.iter_mut();
        all.find_map(|(child, talk)| {
            let heard = talk.pipes.hear(buffer);
            (!heard.is_empty()).then_some((*child, heard))
        })
    }

    /// What a child has said that has ended.
    fn end(&mut self, child: ChildNumber) -> (Vec<Heard>, VecDeque<DeliveryId>) {
        self.buffer.resize(PIECE, 0);
        match self.children.remove(&child) {
            Some(mut talk) => (talk.pipes.hear_last(&mut self.buffer), talk.owed),
            None => (Vec::new(), VecDeque::new()),
        }
    }
}

impl Driver {
    pub(super) fn is_with_coprocesses(&self) -> bool {
        matches!(&self.options.work, Work::Command(work) if matches!(work.form, Form::Coprocess(_)))
    }

    pub(super) fn start_child(&mut self, child: ChildNumber) {
        let Work::Command(work) = &self.options.work else {
            return;
        };
        let work = Arc::clone(work);
        if let Err((status, error)) = self.try_to_start_child(child, &work) {
            self.pending.push_back(Event::ChildCannotStart {
                child,
                status,
                reason: cannot_start_reason(&work, status, &error),
            });
        }
    }

    fn try_to_start_child(
        &mut self,
        child: ChildNumber,
        work: &CommandWork,
    ) -> Result<(), (Status, io::Error)> {
        let by_machine = |error| (Status::FAILURE, error);
        let launcher = match &mut self.launcher {
            Some(launcher) => launcher,
            none => none.insert(Launcher::new(work).map_err(by_machine)?),
        };
        let (mut pipes, output) = match &mut self.collectors {
            None => (Pipes::default(), ChildOutput::Inherited),
            Some(collectors) => {
                let (pipes, collector) = collectors
                    .start(child, &child.to_string())
                    .map_err(by_machine)?;
                (pipes, ChildOutput::Pending(child, collector))
            }
        };
        let output_limit = self.options.publishing.as_ref().map_or(0, |one| one.limit);
        let longest = LONGEST_ANSWER.saturating_add(output_limit.saturating_mul(LONGEST_ESCAPE));
        let (conversation, stdin, answers) = Conversation::open(longest).map_err(by_machine)?;
        pipes.answers = Some(answers);
        let variables = environment::of_queue(&self.queue);
        let pid = launcher.start_with(&variables, &stdin, &pipes)?;
        self.children.add(child, (pid, None), output);
        let talk = Talk {
            pipes: conversation,
            owed: VecDeque::new(),
        };
        self.conversations.children.insert(child, talk);
        Ok(())
    }

    pub(super) fn feed(&mut self, child: ChildNumber, id: DeliveryId) {
        let (Some(talk), Some(delivery), Some(framing)) = (
            self.conversations.children.get_mut(&child),
            self.deliveries.get_mut(&id),
            framing(&self.options.work),
        ) else {
            return;
        };
        talk.owed.push_back(id);
        delivery.is_with_child = true;
        framed::add(
            &mut talk.pipes.outgoing,
            framing,
            &mut delivery.message,
            &mut delivery.body,
            delivery.redelivered,
        );
    }

    /// A message is worked on from now on.
    pub(super) fn begin(&mut self, id: DeliveryId) {
        self.commands_started += 1;
        let is_noted = self.joblog.is_some() || self.monitor.is_on();
        let Some(delivery) = self.deliveries.get_mut(&id).filter(|_| is_noted) else {
            return;
        };
        if delivery.start.is_none() {
            self.monitor.begun(&delivery.message);
        }
        delivery.start = Some(CommandStart::now(self.commands_started));
        if delivery.is_with_child {
            self.monitor.started();
        }
    }

    /// A child works no longer on a message.
    pub(super) fn leave_child(&mut self, id: DeliveryId) {
        if let Some(delivery) = self.deliveries.get_mut(&id)
            && let Some(start) = &delivery.start
            && std::mem::take(&mut delivery.is_with_child)
        {
            self.monitor.ended(start.instant.elapsed());
        }
    }

    /// What a child has said, as an event.
    pub(super) fn next_answers(&mut self) -> Option<Event> {
        let (child, heard) = self.conversations.next()?;
        if heard.last() == Some(&Heard::End) {
            self.pending.push_back(Event::AnswersClosed(child));
        }
        let mut owed = match self.conversations.children.get_mut(&child) {
            Some(talk) => std::mem::take(&mut talk.owed),
            None => VecDeque::new(),
        };
        let answers = self.answers(heard, &mut owed);
        if let Some(talk) = self.conversations.children.get_mut(&child) {
            talk.owed = owed;
        }
        Some(Event::Answered(child, answers))
    }

    /// The answers of a child that has ended, and its end.
    pub(super) fn child_ended(&mut self, ended: &EndedChild) {
        let (heard, mut owed) = self.conversations.end(ended.id);
        let answers = self.answers(heard, &mut owed);
        if !answers.is_empty() {
            self.pending.push_back(Event::Answered(ended.id, answers));
        }
        if let Some(id) = owed.front()
            && let Some(delivery) = self.deliveries.get_mut(id)
        {
            let error = ended.collected.as_ref();
            delivery.result.error = error.and_then(|collected| collected.error.clone());
        }
        self.pending.push_back(Event::ChildEnded {
            child: ended.id,
            status: ended.status,
            signal: ended.signal,
        });
    }

    fn answers(&mut self, heard: Vec<Heard>, owed: &mut VecDeque<DeliveryId>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for heard in heard {
            let parsed = match heard {
                Heard::Line(line) => answer::parse(&line),
                Heard::Endless => Err("a line without end".to_owned()),
                Heard::End => continue,
            };
            answers.push(match parsed {
                Ok(parsed) => self.answer(owed.pop_front(), parsed),
                Err(nonsense) => Answer::Nonsense(nonsense),
            });
        }
        answers
    }

    /// An answer with too much output is a failure.
    fn answer(&mut self, id: Option<DeliveryId>, parsed: answer::Parsed) -> Answer {
        let Some(publishing) = &self.options.publishing else {
            return Answer::Status(parsed.status, 0);
        };
        let mut status = parsed.status;
        let mut output = parsed.output;
        if output.len() > publishing.limit {
            if self.teller.may_tell() {
                warn(
                    "an answer has more output than --output-limit allows; its message has failed",
                );
            }
            output.truncate(publishing.limit);
            if status.is_success() {
                status = Status::FAILURE;
            }
        }
        let size = output.len();
        let delivery = id.and_then(|id| self.deliveries.get_mut(&id));
        if let Some(delivery) = delivery {
            delivery.result = CommandResult::answered_with(output);
        }
        Answer::Status(status, size)
    }
}
