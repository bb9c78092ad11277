//! A session from its beginning to its end.

use crossbeam_channel::Select;

use super::Driver;
use super::channel::{ChannelState, PublishChannel, fingerprint, from_broker};
use crate::broker::{Answers, BlockedNotice, Error, Result, Session};
use crate::publish::input::records;
use crate::publish::run::{Event, FromBroker, RecordInfo};
use crate::reason::ConnectionFailure;

/// How many records are published before the driver looks for other events.
const RECORDS_A_TURN: usize = 16;

impl Driver<'_> {
    /// Publishes on this session until it ends, and tells the core how it ended.
    pub(super) fn use_session(&mut self, mut session: Session) {
        self.interrupts.watch_over(&session);
        self.monitor.opened(&session);
        let (state, answers) = match self.talk(&mut session) {
            Ok((state, answers)) => (state, Some(answers)),
            Err(error) => (ChannelState::Broken(error), None),
        };
        self.monitor.closed();
        match state {
            ChannelState::InUse => {}
            ChannelState::Close => self.close(session),
            ChannelState::Cut => session.abandon(),
            ChannelState::Broken(error) => {
                let error = match error {
                    Error::Lost { context, .. } => session.explain_end(context),
                    error => {
                        drop(session);
                        error
                    }
                };
                self.tell_of_loss(&error, answers);
            }
        }
    }

    fn talk(&mut self, session: &mut Session) -> Result<(ChannelState, Answers)> {
        let blocked = session.blocked_notices()?;
        let publisher = if self.is_confirmed {
            session.publisher()?
        } else {
            session.unconfirmed_publisher()?
        };
        let mut channel = PublishChannel {
            answers: publisher.answers(),
            publisher,
            blocked,
            state: ChannelState::InUse,
        };
        self.look_at_clock();
        self.tell_broker(FromBroker::Connected, Some(&mut channel));
        while channel.is_in_use() {
            self.take_turn(&mut channel);
        }
        self.show_progress();
        self.progress.show_blocked(None);
        Ok((channel.state, channel.answers))
    }

    fn take_turn(&mut self, channel: &mut PublishChannel<'_>) {
        let has_heard = self.hear_others(Some(channel));
        let broker_has_said_something =
            self.hear_broker(channel) | self.hear_whether_blocked(channel);
        let has_published = self.publish_what_is_there(channel);
        if !(has_heard || broker_has_said_something || has_published) && channel.is_in_use() {
            self.show_progress();
            channel.send();
            if !channel.is_in_use() {
                return;
            }
            let mut select = Select::new();
            channel.answers.add_to(&mut select);
            channel.blocked.add_to(&mut select);
            if self.run.wants_record() {
                select.recv(self.input.chunks());
            }
            self.wait(select);
        }
    }

    /// Publishes the records that are available. False: there were none.
    fn publish_what_is_there(&mut self, channel: &mut PublishChannel<'_>) -> bool {
        for published in 0..RECORDS_A_TURN {
            if !self.run.wants_record() || !channel.is_in_use() {
                return published > 0;
            }
            match self.input.next() {
                Ok(record) => self.take_in(record, channel),
                Err(event) => {
                    let is_all = event == Event::NoRecord;
                    self.tell(event, Some(channel));
                    if is_all {
                        return published > 0;
                    }
                }
            }
        }
        true
    }

    fn take_in(&mut self, record: records::Record, channel: &mut PublishChannel<'_>) {
        let template = &record.template;
        let told = RecordInfo {
            length: record.body.len(),
            input_length: record.input_length,
            fingerprint: template
                .may_be_returned()
                .then(|| fingerprint(template.identity(), &record.body)),
        };
        self.unconfirmed.push(record);
        self.tell(Event::Record(told), Some(channel));
    }

    /// Takes in what the broker has said. False: nothing.
    fn hear_broker(&mut self, channel: &mut PublishChannel<'_>) -> bool {
        let mut has_heard = false;
        while channel.is_in_use() {
            match channel.answers.try_next() {
                Ok(Some(answer)) => self.tell_broker(from_broker(answer), Some(channel)),
                Ok(None) => break,
                Err(_) => channel.has_broken(channel.publisher.failure()),
            }
            has_heard = true;
        }
        has_heard
    }

    fn hear_whether_blocked(&mut self, channel: &mut PublishChannel<'_>) -> bool {
        let mut has_heard = false;
        while let Some(notice) = channel.blocked.try_next() {
            let (event, reason) = match notice {
                BlockedNotice::Blocked(reason) => (FromBroker::Paused, Some(reason)),
                BlockedNotice::Unblocked => (FromBroker::Resumed, None),
            };
            if !self.progress.is_shown() {
                (self.connect.announce)(&match &reason {
                    Some(reason) => {
                        format!("basic.publish: blocked by the broker: {reason}; waiting")
                    }
                    None => "basic.publish: the broker takes messages again".to_owned(),
                });
            }
            self.monitor.blocked(reason.is_some());
            self.progress.show_blocked(reason);
            self.tell_broker(event, Some(channel));
            has_heard = true;
        }
        has_heard
    }

    fn close(&mut self, session: Session) {
        let closed = session.close();
        self.look_at_clock();
        match closed {
            Ok(()) => self.tell_broker(FromBroker::Closed, None),
            Err(error) => self.tell_broker(FromBroker::Lost((&error).into()), None),
        }
    }

    /// Tells the core that the connection is lost. Earlier answers and signals come first: a signal may have cut the connection.
    fn tell_of_loss(&mut self, error: &Error, answers: Option<Answers>) {
        self.look_at_clock();
        let mut answers = answers;
        while let Some(Ok(Some(answer))) = answers.as_mut().map(Answers::try_next) {
            self.tell_broker(from_broker(answer), None);
        }
        self.hear_others(None);
        self.tell_broker(FromBroker::Lost(error.into()), None);
    }
}

impl From<&Error> for ConnectionFailure {
    fn from(error: &Error) -> Self {
        ConnectionFailure {
            reason: error.to_string(),
            is_transient: error.is_transient(),
        }
    }
}
