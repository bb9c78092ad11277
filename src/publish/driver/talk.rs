//! A session from its beginning to its end.

use crossbeam_channel::Select;

use super::input::Next;
use super::wire::{Fate, Wire, fingerprint, from_broker};
use super::{Driver, trouble};
use crate::broker::{Answers, BlockedNotice, Error, Result, Session};
use crate::publish::options::Confirms;
use crate::publish::records;
use crate::publish::run::{Event, FromBroker, Record};

/// So many records are published before it is looked what has come.
const RECORDS_A_TURN: usize = 16;

impl Driver<'_> {
    /// Publishes on this session until it has ended or is to end, and tells the core how it ended.
    pub(super) fn use_session(&mut self, mut session: Session) {
        self.interrupts.watch_over(&session);
        let (fate, answers) = match self.talk(&mut session) {
            Ok((fate, answers)) => (fate, Some(answers)),
            Err(error) => (Fate::Broken(error), None),
        };
        match fate {
            Fate::Used => {}
            Fate::Closed => self.close(session),
            Fate::Cut => session.abandon(),
            Fate::Broken(error) => {
                let error = match error {
                    Error::Lost { context, .. } => session.autopsy(context),
                    error => {
                        drop(session);
                        error
                    }
                };
                self.tell_of_loss(&error, answers);
            }
        }
    }

    fn talk(&mut self, session: &mut Session) -> Result<(Fate, Answers)> {
        let blocked = session.blocked_notices()?;
        let publisher = match self.confirms {
            Confirms::Awaited { .. } => session.publisher()?,
            Confirms::Off => session.unconfirmed_publisher()?,
        };
        let mut wire = Wire {
            answers: publisher.answers(),
            publisher,
            blocked,
            fate: Fate::Used,
        };
        self.look_at_clock();
        self.tell_broker(FromBroker::Connected, Some(&mut wire));
        while wire.is_in_use() {
            self.take_turn(&mut wire);
        }
        self.show_progress();
        self.progress.show_blocked(None);
        Ok((wire.fate, wire.answers))
    }

    fn take_turn(&mut self, wire: &mut Wire<'_>) {
        let has_heard = self.hear_others(Some(wire));
        let broker_has_said_something = self.hear_broker(wire) | self.hear_whether_blocked(wire);
        let has_published = self.publish_what_is_there(wire);
        if !(has_heard || broker_has_said_something || has_published) && wire.is_in_use() {
            self.show_progress();
            let mut select = Select::new();
            wire.answers.add_to(&mut select);
            select.recv(&wire.blocked);
            if self.run.wants_record() {
                select.recv(self.input.chunks());
            }
            self.wait(select);
        }
    }

    /// True if something has been published, or was to be.
    fn publish_what_is_there(&mut self, wire: &mut Wire<'_>) -> bool {
        for published in 0..RECORDS_A_TURN {
            if !self.run.wants_record() || !wire.is_in_use() {
                return published > 0;
            }
            match self.input.next() {
                Next::Record(record) => self.take_in(record, wire),
                Next::Nothing => {
                    self.tell(Event::NoRecord, Some(wire));
                    return published > 0;
                }
                Next::End => self.tell(Event::InputEnded, Some(wire)),
                Next::Failed(reason) => self.tell(Event::InputFailed(reason), Some(wire)),
            }
        }
        true
    }

    fn take_in(&mut self, record: records::Record, wire: &mut Wire<'_>) {
        let template = &record.template;
        let told = Record {
            length: record.body.len(),
            input_length: record.input_length,
            fingerprint: template
                .may_be_returned()
                .then(|| fingerprint(template.identity(), &record.body)),
        };
        self.kept.push(record);
        self.tell(Event::Record(told), Some(wire));
    }

    /// Takes in what the broker has said meanwhile. False: nothing.
    fn hear_broker(&mut self, wire: &mut Wire<'_>) -> bool {
        let mut has_heard = false;
        while wire.is_in_use() {
            match wire.answers.try_next() {
                Ok(Some(answer)) => self.tell_broker(from_broker(answer), Some(wire)),
                Ok(None) => break,
                Err(_) => wire.has_broken(wire.publisher.failure()),
            }
            has_heard = true;
        }
        has_heard
    }

    fn hear_whether_blocked(&mut self, wire: &mut Wire<'_>) -> bool {
        let mut has_heard = false;
        while let Ok(notice) = wire.blocked.try_recv() {
            let (event, reason) = match notice {
                BlockedNotice::Blocked(reason) => (FromBroker::Paused, Some(reason)),
                BlockedNotice::Unblocked => (FromBroker::Resumed, None),
            };
            self.progress.show_blocked(reason);
            self.tell_broker(event, Some(wire));
            has_heard = true;
        }
        has_heard
    }

    fn close(&mut self, session: Session) {
        let closed = session.close();
        self.look_at_clock();
        match closed {
            Ok(()) => self.tell_broker(FromBroker::Closed, None),
            Err(error) => self.tell_broker(FromBroker::Lost(trouble(&error)), None),
        }
    }

    /// What had come over the connection is told first, and signals: the connection may have been cut because of one.
    fn tell_of_loss(&mut self, error: &Error, answers: Option<Answers>) {
        self.look_at_clock();
        let mut answers = answers;
        while let Some(Ok(Some(answer))) = answers.as_mut().map(Answers::try_next) {
            self.tell_broker(from_broker(answer), None);
        }
        self.hear_others(None);
        self.tell_broker(FromBroker::Lost(trouble(error)), None);
    }
}
