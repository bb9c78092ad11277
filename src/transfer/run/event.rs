//! What the core hears and what it has done: the whole interface between [`Run`](super::Run) and its driver.

use std::time::Duration;

use crate::broker::Confirmation;

/// The time since the run began.
pub type Time = Duration;

/// A connection's number. What comes late from an earlier connection is known by it.
pub type Connection = u32;

/// The number of a subscription, across connections.
pub type Subscription = u32;

/// The number of a delivery on its connection, as the broker counts them: 1, 2, 3 ... Messages are published in this order
/// too, without a gap, so that the number of a copy among the confirms is the same.
pub type Tag = u64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver woke up, and nothing else.
    Time,
    /// The driver has told all that there is, and is about to wait.
    Quiet,
    /// A signal that asks the tool to end.
    Signal(i32),
    /// The lines about moved messages cannot be written.
    CannotReport(String),
    /// Whether the queue is there that the copies go to.
    Target(TargetIs),
    /// The broker, or the way to it. What comes from another connection than the present one counts for nothing.
    Broker(Connection, FromBroker),
}

/// What comes over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBroker {
    /// The connection stands, source and target are there, and the source says that it has so many messages.
    Connected {
        /// How many are ready to be delivered.
        ready: u32,
    },
    /// There is no connection, and trying on will not change that.
    CannotConnect(String),
    /// The connection or its channel has ended. All that came over it before has been told.
    Lost(Trouble),
    /// basic.consume-ok.
    Subscribed(Subscription),
    /// basic.cancel-ok. All that the subscription brought has been told.
    Cancelled(Subscription),
    /// The broker has ended a subscription, in words.
    Ended(String),
    /// basic.deliver. Deliveries are told in the order of their tags.
    Delivered(Delivery),
    /// basic.ack or basic.nack.
    Confirmed(Confirmation),
    /// basic.return.
    Returned {
        /// See [`Delivery::fingerprint`].
        fingerprint: u64,
        /// Why, for a person.
        reason: String,
    },
    /// The broker takes nothing more for now: connection.blocked.
    Paused,
    /// It does again.
    Resumed,
    /// So many messages are ready in the source, by its own word.
    Ready(u32),
    /// connection.close-ok.
    Closed,
}

/// What the core needs to know about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number on this connection.
    pub tag: Tag,
    /// What brought it.
    pub subscription: Subscription,
    /// The size of the body in bytes.
    pub length: usize,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// What its copy is told by when it comes back.
    pub fingerprint: u64,
    /// Why no copy can be made of it, if none can.
    pub unfit: Option<String>,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub reason: String,
    /// Whether a new connection may do better.
    pub may_pass: bool,
}

/// What was found out about the queue that the copies go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetIs {
    /// It is there, or nobody can say.
    NotKnownToBeGone,
    /// It is gone, in words.
    Gone(String),
}

/// Something for the driver to do, in the order of the actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, after this pause. Answered by `Connected` or `CannotConnect`.
    Connect(Connection, Time),
    /// basic.consume, with so many unacknowledged messages at most. Answered by `Subscribed` or `Lost`.
    Subscribe(Subscription, u16),
    /// basic.cancel. Answered by `Cancelled` or `Lost`.
    Cancel(Subscription),
    /// Ask the source how many messages are ready. Answered by `Ready` or `Lost`.
    Count,
    /// basic.publish, of the copy of this delivery. Where it fails, `Lost` comes.
    Publish(Tag),
    /// basic.ack, of this delivery and all before it that are not answered for: they are moved.
    Ack(Tag),
    /// basic.nack with requeue, of this delivery and all before it that are not answered for.
    Return(Tag),
    /// connection.close. Answered by `Closed` or `Lost`, within the limit for it.
    Close,
    /// Cut the connection, or give up connecting. Nothing of that connection is told any more.
    Abandon,
    /// Find out, over another connection, whether the target is there. Answered by `Target`.
    AskForTarget,
    /// Tell the person at the terminal.
    Say(Notice),
}

/// What the person at the terminal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was lost, and another is made.
    ConnectingAnew(String),
    /// The broker has confirmed nothing for so long, though it is not blocked.
    NoConfirms(Time),
}
