//! Events and actions: the whole interface between [`Run`](super::Run) and its driver.

use std::time::Duration;

use crate::broker::Confirmation;
use crate::reason::ConnectionFailure;

/// The number of a record, from 1 in the order of the input.
pub type RecordId = u64;

/// The number of a connection. Late events of an earlier connection are recognised by it.
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
    /// The run wants a record, and none is available yet.
    NoRecord,
    /// There are no more records.
    InputEnded,
    /// The next record cannot be read, or is malformed.
    InputFailed(String),
    /// Something that the broker said, or the state of the connection. Events of an earlier connection are ignored.
    Broker(ConnectionId, FromBroker),
    /// The queue that this record was published to was checked. The reason says that it does not exist; `None`: it exists, or the
    /// broker gave no answer.
    QueueChecked(RecordId, Option<String>),
    /// The checkpoint is on the disk.
    CheckpointSynced,
    /// The checkpoint cannot be written.
    CannotSaveCheckpoint(String),
}

/// What the core needs to know about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// The size of the message's body in bytes.
    pub length: usize,
    /// The size of the record in the input in bytes.
    pub input_length: usize,
    /// What a returned message is recognised by; `None` if the broker does not return it.
    pub fingerprint: Option<u64>,
}

/// What comes over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBroker {
    /// The connection is open, and messages can be published.
    Connected,
    /// The connection could not be opened, and another attempt would fail too.
    CannotConnect(String),
    /// The connection or its channel has ended. All its other events have come before.
    Lost(ConnectionFailure),
    /// basic.ack or basic.nack. Messages are numbered from 1 in the order in which they were published on this connection.
    Confirmed(Confirmation),
    /// basic.return.
    Returned {
        /// See [`RecordInfo::fingerprint`].
        fingerprint: u64,
        /// Why, in words.
        reason: String,
    },
    /// The broker reads no more messages: connection.blocked.
    Paused,
    /// The broker reads messages again: connection.unblocked.
    Resumed,
    /// The broker has handled all published messages. Events for returned messages have come before.
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
    /// Ask the broker whether it has handled all published messages. Answered by `CaughtUp` or `Lost`; with confirms, within
    /// `broker`'s limit for it.
    CatchUp,
    /// connection.close. Answered by `Closed` or `Lost`, within `broker`'s limit for it.
    Close,
    /// Cut the connection, or give up connecting. No event of that connection follows.
    Abandon,
    /// Check, over another connection, whether the queue exists that this record was published to. Answered by `QueueChecked`.
    AskForQueue(RecordId),
    /// Write to the checkpoint that everything up to this record is confirmed. Answered only if it fails, by
    /// `CannotSaveCheckpoint`.
    SaveCheckpoint(RecordId),
    /// Write to the checkpoint how far everything is confirmed, and sync it to the disk. Answered by `CheckpointSynced` or
    /// `CannotSaveCheckpoint`.
    SyncCheckpoint,
    /// Tell the person at the terminal.
    Say(Notice),
}

/// What the person at the terminal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was lost, and another one is opened.
    ConnectingAnew(String),
    /// The broker has confirmed nothing for this long, and is not blocked.
    NoConfirms(Duration),
}
