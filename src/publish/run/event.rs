//! What the core hears and what it has done: the whole interface between [`Run`](super::Run) and its driver.

use std::time::Duration;

use crate::broker::Confirmation;
use crate::reason::ConnectionFailure;

/// A record, as core and driver call it: the first is 1, and each that the driver tells of is one more.
pub type RecordId = u64;

/// A connection's number. What comes late from an earlier connection is known by it.
pub type ConnectionId = u32;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver woke up, and nothing else.
    Tick,
    /// A signal that asks the tool to end.
    Signal(i32),
    /// The next record, where the run [wants](super::Run::wants_record) one.
    Record(RecordInfo),
    /// The run wants a record, and none is at hand.
    NoRecord,
    /// There are no more records.
    InputEnded,
    /// The next record cannot be read, or is none.
    InputFailed(String),
    /// The broker, or the way to it. What comes from another connection than the present one counts for nothing.
    Broker(ConnectionId, FromBroker),
    /// The queue that this record was published to was looked for. Why it is gone; `None`: it is there, or nobody can say.
    QueueChecked(RecordId, Option<String>),
    /// The place is kept for good.
    CheckpointSynced,
    /// The checkpoint cannot be written.
    CannotSaveCheckpoint(String),
}

/// What the core needs to know about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// The size of the message's body in bytes.
    pub length: usize,
    /// How many bytes of the input it is.
    pub input_length: usize,
    /// What a returned message is told by; nothing if the broker does not return it.
    pub fingerprint: Option<u64>,
}

/// What comes over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBroker {
    /// The connection stands, and messages can be published.
    Connected,
    /// There is no connection, and trying on will not change that.
    CannotConnect(String),
    /// The connection or its channel has ended. All that came over it before has been told.
    Lost(ConnectionFailure),
    /// basic.ack or basic.nack. Messages are numbered from 1 in the order in which they were published on this connection.
    Confirmed(Confirmation),
    /// basic.return.
    Returned {
        /// See [`RecordInfo::fingerprint`].
        fingerprint: u64,
        /// Why, for a person.
        reason: String,
    },
    /// The broker takes nothing more for now: connection.blocked.
    Paused,
    /// It does again.
    Resumed,
    /// The broker has handled all that was published, and what it returned of that was told.
    CaughtUp,
    /// connection.close-ok.
    Closed,
}

/// Something for the driver to do, in the order of the actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, after this pause. Answered by `Connected` or `CannotConnect`.
    Connect(ConnectionId, Duration),
    /// basic.publish. Where it fails, `Lost` comes.
    Publish(RecordId),
    /// Have the broker say that it has handled all that was published. Answered by `CaughtUp` or `Lost`.
    CatchUp,
    /// connection.close. Answered by `Closed` or `Lost`, within the broker room's limit for it.
    Close,
    /// Cut the connection, or give up connecting. Nothing of that connection is told any more.
    Abandon,
    /// Find out, over another connection, whether the queue is there that this record was published to. Answered by `QueueChecked`.
    AskForQueue(RecordId),
    /// Write down that everything up to this record is confirmed. Answered only if it fails, by `CannotSaveCheckpoint`.
    SaveCheckpoint(RecordId),
    /// The same for good, as far as everything is confirmed. Answered by `CheckpointSynced` or `CannotSaveCheckpoint`.
    SyncCheckpoint,
    /// Tell the person at the terminal.
    Say(Notice),
}

/// What the person at the terminal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was lost, and another is made.
    ConnectingAnew(String),
    /// The broker has confirmed nothing for so long, though it is not blocked.
    NoConfirms(Duration),
}
