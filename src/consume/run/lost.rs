//! Connections that end, and others that follow. Connections that break one after the other without having been of use are opened
//! anew for as long as one that cannot be opened.

use std::time::Duration;

use super::Run;
use super::connection::{ConnectionState, SubscriptionState, Uncertain};
use super::event::{Action, Copy, DeliveryId, Notice, SubscriptionId};
use super::message::{DeliveryState, MessageInHand, MessageState};
use super::phase::{Cause, Phase};
use crate::reason::ConnectionFailure;

/// The pause before a new connection. It doubles with each further one that was of no use.
const BREATHER: Duration = Duration::from_secs(1);
const LONGEST_BREATHER: Duration = Duration::from_secs(8);

impl Run {
    /// The connection was lost, or could not be opened.
    pub(super) fn on_lost(&mut self, failure: ConnectionFailure) {
        let was_closing = self.connection.state == ConnectionState::Closing;
        let doubtful = self.connection.uncertain;
        let nothing_to_prove = doubtful.messages() == 0;
        self.leave_connection();
        if was_closing && nothing_to_prove && !matches!(self.phase, Phase::Consuming) {
            return; // everything is certain already
        }
        self.give_up_uncertain(doubtful);
        let may_go_on = failure.is_transient && self.may_connect_anew();
        if may_go_on && self.is_out_of_time() {
            self.fail(format!("{}; --max-time is over", failure.reason));
        } else if may_go_on && self.bears_break() {
            self.say(Notice::ConnectingAnew(failure.reason));
            self.phase = Phase::Consuming;
            self.connect_anew(self.pause().max(BREATHER));
        } else if may_go_on {
            self.fail(self.gave_up(&failure.reason));
        } else if self.phase.lies_in_the_work() {
            self.phase = Phase::Draining(Cause::Failed(failure.reason));
            self.stop_commands();
        } else {
            self.say(Notice::AlsoFailed(failure.reason));
            if matches!(self.phase, Phase::Draining(Cause::Failed(_))) {
                self.stop_commands();
            }
        }
    }

    /// Whether a run that has lost its connection opens another one, if it does not do so for too long.
    fn may_connect_anew(&self) -> bool {
        self.phase.lies_in_the_work() && self.options.reconnects() && self.signals == 0
    }

    fn bears_break(&mut self) -> bool {
        let was_of_use = self.connection.was_of_use(self.now);
        self.breaks.note(was_of_use, self.now);
        self.breaks.are_borne(self.options.retry, self.now)
    }

    fn pause(&self) -> Duration {
        self.breaks.pause(BREATHER, LONGEST_BREATHER)
    }

    fn gave_up(&self, reason: &str) -> String {
        format!("{reason} (gave up after {:?})", self.options.retry)
    }

    /// Counts messages as not done whose settlement may not have reached the queue.
    pub(super) fn give_up_uncertain(&mut self, doubtful: Uncertain) {
        if self.is_stream() {
            // The broker keeps no place in a stream: what was acknowledged is done.
            self.succeeded += doubtful.successes;
            self.connection.uncertain = Uncertain::default();
        } else if doubtful.messages() > 0 {
            self.in_doubt += doubtful.messages();
            self.failed = self.failed.saturating_sub(doubtful.failures);
            self.say(Notice::InDoubt(doubtful.messages()));
        }
    }

    pub(super) fn connect_anew(&mut self, pause: Duration) {
        self.connection = self.connection.next();
        self.act(Action::Connect(self.connection.number, pause));
    }

    /// Gives up the connection and its deliveries.
    pub(super) fn leave_connection(&mut self) {
        let lost_before = self.lost_with_children();
        self.note_lost();
        self.connection.state = ConnectionState::Gone;
        self.connection.subscriptions.clear();
        self.connection.question = None;
        self.connection.fruitless_since = None;
        let waiting = std::mem::take(&mut self.waiting);
        for id in waiting.into_keys() {
            self.act(Action::Forget(id));
        }
        let ids: Vec<DeliveryId> = self.in_hand.keys().copied().collect();
        for id in ids {
            self.lose_delivery(id);
        }
        let dropped = self.lost_with_children() - lost_before;
        if dropped > 0 {
            self.say(Notice::AnswersDropped(dropped));
        }
    }

    fn lose_delivery(&mut self, id: DeliveryId) {
        let (is_working, leads) = (self.is_with_command(id), self.leads(id));
        let Some(message) = self.in_hand.get_mut(&id) else {
            return;
        };
        match (message.delivery_state, &message.state) {
            (DeliveryState::Lost, _) => {}
            (DeliveryState::Acknowledged(command), _) if self.connection.is_certain(command) => {
                message.delivery_state = DeliveryState::Acknowledged(0);
            }
            (DeliveryState::Acknowledged(_), _) => {
                // The broker may deliver the message again.
                message.delivery_state = DeliveryState::Lost;
                self.in_doubt += 1;
                self.say(Notice::InDoubt(1));
                if !is_working {
                    self.forget(id);
                }
            }
            (DeliveryState::Unsettled, _) if is_working => {
                message.delivery_state = DeliveryState::Lost;
            }
            (DeliveryState::Unsettled, state) => {
                match state {
                    MessageState::Copying(Copy::Output, _) if leads => {
                        self.say(Notice::OutputMayRepeat);
                    }
                    MessageState::Copying(
                        Copy::Attempt(_) | Copy::Renew(_) | Copy::Delay(..),
                        _,
                    ) => {
                        self.unanswered_copies.insert(id);
                    }
                    _ => {}
                }
                self.forget(id);
            }
        }
    }

    /// The broker cancelled a subscription: the queue is gone, or (RabbitMQ 4.3) it took back a delivery that was not settled in
    /// time. Settling that delivery would break the connection, so another connection is opened.
    pub(super) fn on_cancelled(&mut self, subscription: SubscriptionId) {
        let number = |(number, _): &(SubscriptionId, SubscriptionState)| *number == subscription;
        if !self.connection.subscriptions.iter().any(number) {
            return;
        }
        self.connection.subscriptions.retain(|entry| !number(entry));
        let mut reason =
            "basic.cancel: the broker cancelled the consumer: the queue is gone".to_owned();
        if self.has_unsettled() {
            reason += ", or (a quorum queue of RabbitMQ 4.3 or later) a message was not acknowledged within its \
                       consumer_timeout, which --consumer-argument x-consumer-timeout=MILLISECONDS raises";
        }
        let may_go_on = self.may_connect_anew() && !self.is_out_of_time();
        if may_go_on && self.bears_break() {
            // The deliveries of this connection must not be settled any more. Earlier settlements are to become certain.
            self.say(Notice::ConnectingAnew(reason));
            self.phase = Phase::Consuming;
            self.leave_connection();
            self.close();
        } else if may_go_on {
            self.fail(self.gave_up(&reason));
        } else {
            self.fail(reason);
        }
    }

    pub(super) fn close(&mut self) {
        self.connection.state = ConnectionState::Closing;
        self.act(Action::Close);
    }

    fn has_unsettled(&self) -> bool {
        !self.waiting.is_empty() || self.in_hand.values().any(MessageInHand::is_unsettled)
    }

    /// The answer to closing the connection makes the first 32 commands certain.
    pub(super) fn on_closed(&mut self) {
        let sent = self.connection.uncertain;
        if self.fits_a_close(sent) {
            self.succeeded += sent.successes;
            self.connection.uncertain = Uncertain::default();
        }
        self.leave_connection();
        self.give_up_uncertain(self.connection.uncertain);
        if self.phase.is_consuming() {
            self.connect_anew(self.pause());
        }
    }

    /// Whether the answer to connection.close would make these settlements certain. An auto-delete queue is a classic queue, which
    /// gets every command at once. A stream has nothing to learn of them.
    pub(super) fn fits_a_close(&self, sent: Uncertain) -> bool {
        sent.fits_a_close() || self.options.queue_ends_with_consumer || self.is_stream()
    }
}
