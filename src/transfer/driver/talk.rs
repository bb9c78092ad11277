//! A session from its beginning to its end.

use bytes::Bytes;
use crossbeam_channel::Select;

use super::kept::{Copy, Kept, KeptDelivery};
use super::opening::Opened;
use super::sources::Brought;
use super::wire::{Fate, Wire};
use super::{Driver, source_is_stream, trouble};
use crate::broker::{
    self, Answer, Answers, BlockedNotice, Error, Result, Session, Template, Unroutable,
};
use crate::consume::offset;
use crate::publish::driver::channel::{fingerprint, reason};
use crate::publish::progress::Progress;
use crate::reason::reason as io_reason;
use crate::streams;
use crate::transfer::run::{Action, Delivery, Event, FromBroker, Subscription, Tag};

/// So many deliveries are taken in before it is looked what else has come.
const DELIVERIES_A_TURN: usize = 64;

impl Driver<'_> {
    /// Moves messages on this session until it has ended or is to end, and tells the core how it ended.
    pub(super) fn use_session(&mut self, opened: Opened) {
        let Opened { mut session, ready } = opened;
        self.interrupts.watch_over(&session);
        self.monitor.opened(&session);
        self.kept = Kept::new();
        self.copier.frame_max = session.server().frame_max;
        let (fate, answers) = match self.talk(&mut session, ready) {
            Ok((fate, answers)) => (fate, Some(answers)),
            Err(error) => (Fate::Broken(error), None),
        };
        self.monitor.closed();
        match fate {
            Fate::Used => {}
            Fate::Closed => self.close(session),
            Fate::Cut => session.abandon(),
            Fate::Broken(error) => {
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

    fn talk(&mut self, session: &mut Session, ready: u32) -> Result<(Fate, Answers)> {
        let blocked = session.blocked_notices()?;
        let mut wire = Wire::over(session, blocked)?;
        self.look_at_clock();
        self.tell_broker(FromBroker::Connected { ready }, Some(&mut wire));
        if self.progress.is_none() {
            let goal = self.run.tally().goal;
            self.progress = Some(Progress::begin_counting(self.options.shows_progress, goal));
        }
        while wire.is_in_use() {
            self.take_turn(&mut wire);
        }
        self.show_progress();
        self.show_blocked(None);
        Ok((wire.fate, wire.answers))
    }

    fn take_turn(&mut self, wire: &mut Wire<'_>) {
        let has_heard = self.hear_others(Some(wire))
            | self.hear_confirms(wire)
            | self.hear_whether_blocked(wire)
            | self.hear_deliveries(wire);
        if has_heard || !wire.is_in_use() || self.tell(Event::Quiet, Some(wire)) {
            return;
        }
        if wire.attempt(|wire| wire.publisher.send()).is_none() {
            return;
        }
        if let Err(error) = self.report.flush() {
            let reason = format!("{}: {}", super::Report::CONTEXT, io_reason(&error));
            self.tell(Event::CannotReport(reason), Some(wire));
            return;
        }
        self.show_progress();
        let mut select = Select::new();
        wire.answers.add_to(&mut select);
        wire.blocked.add_to(&mut select);
        wire.sources.add_to(&mut select);
        self.wait(select);
    }

    /// Takes in what the broker says of copies. False: nothing.
    fn hear_confirms(&mut self, wire: &mut Wire<'_>) -> bool {
        let mut has_heard = false;
        while wire.is_in_use() {
            match wire.answers.try_next() {
                Ok(Some(answer)) => {
                    self.tell_broker(from_broker(answer), Some(wire));
                }
                Ok(None) => break,
                Err(_) => wire.has_broken(wire.publisher.failure()),
            }
            has_heard = true;
        }
        has_heard
    }

    fn hear_whether_blocked(&mut self, wire: &mut Wire<'_>) -> bool {
        let mut has_heard = false;
        while let Some(notice) = wire.blocked.try_next() {
            let (event, reason) = match notice {
                BlockedNotice::Blocked(reason) => (FromBroker::Paused, Some(reason)),
                BlockedNotice::Unblocked => (FromBroker::Resumed, None),
            };
            self.show_blocked(reason);
            self.tell_broker(event, Some(wire));
            has_heard = true;
        }
        has_heard
    }

    fn show_blocked(&self, reason: Option<String>) {
        if let Some(progress) = &self.progress {
            progress.show_blocked(reason);
        }
    }

    /// Takes in what has been delivered. False: nothing.
    fn hear_deliveries(&mut self, wire: &mut Wire<'_>) -> bool {
        for taken in 0..DELIVERIES_A_TURN {
            if !wire.is_in_use() {
                return true;
            }
            let Some(brought) = wire.sources.next() else {
                return taken > 0;
            };
            if let Some(event) = self.take_in(brought, wire) {
                self.tell_broker(event, Some(wire));
            }
        }
        true
    }

    /// What the core is told of what a subscription has brought.
    fn take_in(&mut self, brought: Brought, wire: &mut Wire<'_>) -> Option<FromBroker> {
        match brought {
            Brought::Delivery(subscription, delivery) => match self.is_of_stream(&delivery) {
                Ok(false) => Some(FromBroker::Delivered(self.keep(subscription, *delivery))),
                Ok(true) => Some(FromBroker::Ended(source_is_stream(&self.options.source))),
                Err(error) => {
                    wire.has_broken(error);
                    None
                }
            },
            Brought::Cancelled => {
                let queue = format!(
                    "queue '{}' was deleted, or its node went away",
                    self.options.source
                );
                Some(FromBroker::Ended(Error::Cancelled(queue).to_string()))
            }
            Brought::Broken(error) => {
                wire.has_broken(error.unwrap_or_else(|| wire.publisher.failure()));
                None
            }
        }
    }

    /// Whether the source is a stream, which delivers what is published now. A queue's first message may have a stream's header too,
    /// if it comes out of a dump.
    fn is_of_stream(&mut self, delivery: &broker::Delivery) -> Result<bool> {
        if self.source_is_queue {
            return Ok(false);
        }
        let says_so = offset::of_message(&delivery.message).is_some();
        let is_of_stream = says_so && streams::is_stream(self.connect, &self.options.source)?;
        self.source_is_queue = !is_of_stream;
        Ok(is_of_stream)
    }

    fn keep(&mut self, subscription: Subscription, delivery: broker::Delivery) -> Delivery {
        let broker::Delivery {
            mut message,
            redelivered,
            tag,
            fidelity,
            unsettled,
        } = delivery;
        let copy = self
            .copier
            .make_copy(&mut message, fidelity)
            .and_then(|()| {
                Template::new(
                    &message.exchange,
                    &message.routing_key,
                    &message.properties,
                    Unroutable::Return,
                )
                .map_err(|error| error.to_string())
            });
        if let Some(word) = self.copier.word() {
            self.say(&word);
        }
        let report = self.report.line_for(&message);
        let body = Bytes::from(message.body);
        let length = body.len();
        let (template, unfit) = match copy {
            Ok(template) => (Some(template), None),
            Err(reason) => (None, Some(reason)),
        };
        let told = Delivery {
            tag,
            subscription,
            length,
            redelivered,
            fingerprint: template
                .as_ref()
                .map_or(0, |template| fingerprint(template.identity(), &body)),
            unfit,
        };
        self.kept.push(KeptDelivery {
            unsettled,
            copy: template.map(|template| Copy { template, body }),
            report,
        });
        told
    }

    /// Does what has to be done on the connection.
    pub(super) fn carry_out_on(&mut self, wire: &mut Wire<'_>, action: &Action) {
        match *action {
            Action::Subscribe(number, prefetch) => {
                let queue = &self.options.source;
                let done = wire.attempt(|wire| wire.subscribe(number, queue, prefetch));
                if done.is_some() {
                    self.answer(FromBroker::Subscribed(number));
                }
            }
            Action::Cancel(number) => self.cancel(number, wire),
            Action::Count => {
                let queue = &self.options.source;
                let state = wire.attempt(|wire| wire.session.look_at_queue(queue));
                if let Some(state) = state {
                    self.answer(FromBroker::Ready(state.messages));
                }
            }
            Action::Publish(tag) => {
                if let Some(Copy { template, body }) = self.kept.take_copy(tag) {
                    wire.attempt(|wire| wire.publisher.queue(&template, &body));
                }
            }
            Action::Ack(tag) => self.acknowledge(tag, wire),
            Action::Return(tag) => {
                let (last, _) = self.kept.take_up_to(tag);
                if let Some(last) = last {
                    wire.attempt(|wire| last.requeue_up_to(wire.session));
                }
            }
            Action::Close => wire.fate = Fate::Closed,
            Action::Abandon => wire.fate = Fate::Cut,
            // Not on a connection.
            Action::Connect(..) | Action::AskForTarget | Action::Say(_) => {}
        }
    }

    /// Waits for the answer, and tells what came before it.
    fn cancel(&mut self, number: Subscription, wire: &mut Wire<'_>) {
        if wire.attempt(|wire| wire.cancel(number)).is_none() {
            return;
        }
        while let Some(brought) = wire.sources.next() {
            if let Some(event) = self.take_in(brought, wire) {
                self.answer(event);
            }
            if !wire.is_in_use() {
                return;
            }
        }
        self.answer(FromBroker::Cancelled(number));
    }

    fn acknowledge(&mut self, tag: Tag, wire: &mut Wire<'_>) {
        let (last, reports) = self.kept.take_up_to(tag);
        if let Some(last) = last {
            wire.attempt(|wire| last.ack_up_to(wire.session));
        }
        if let Err(reason) = self.report.write(&reports) {
            self.events.push_back(Event::CannotReport(reason));
        }
    }

    fn close(&mut self, session: Session) {
        let closed = session.close();
        self.look_at_clock();
        match closed {
            Ok(()) => self.tell_broker(FromBroker::Closed, None),
            Err(error) => self.tell_broker(FromBroker::Lost(trouble(&error)), None),
        };
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

/// What has come, as the core is told.
fn from_broker(answer: Answer) -> FromBroker {
    match answer {
        Answer::Confirmed(confirmation) => FromBroker::Confirmed(confirmation),
        Answer::Returned(returned) => FromBroker::Returned {
            fingerprint: fingerprint(returned.identity(), &returned.message.body),
            reason: reason(&returned.message),
        },
    }
}
