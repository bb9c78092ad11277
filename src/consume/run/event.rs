//! Events and actions: the whole interface between [`Run`](super::Run) and its driver.

use std::time::Duration;

use crate::reason::ConnectionFailure;
use crate::status::Status;

/// The number of a delivery. It rises in the order of arrival and is never used twice.
pub type DeliveryId = u64;

/// The number of a connection. Late events of an earlier connection are recognised by it.
pub type ConnectionId = u32;

/// The number of a subscription, never used twice in a run.
pub type SubscriptionId = u32;

/// The number of a child that gets several messages, from 1, never used twice in a run.
pub type ChildNumber = u64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver woke up, and nothing else.
    Tick,
    /// A signal that asks the tool to end.
    Signal(i32),
    /// Something that the broker said, or the state of the connection. Events of an earlier connection are ignored.
    Broker(ConnectionId, FromBroker),
    /// A command ended.
    CommandEnded {
        /// The delivery that it ran for.
        id: DeliveryId,
        /// Its exit status as the shell says it, 128 + n for signal n.
        status: Status,
        /// The signal that ended it, or 0.
        signal: i32,
        /// How many bytes of output the driver keeps of it.
        output: usize,
    },
    /// A command could not be started.
    CannotStart {
        /// The delivery that it was to run for.
        id: DeliveryId,
        /// 127, 126, or the status of a failure of the machine.
        status: Status,
        /// Why.
        reason: String,
    },
    /// A child answered so many of its messages, in their order.
    Answered(ChildNumber, Vec<Answer>),
    /// A child closed the descriptor for its answers. Its end follows, or not.
    AnswersClosed(ChildNumber),
    /// A child ended. All its answers have come before.
    ChildEnded {
        /// The child.
        child: ChildNumber,
        /// Its exit status as the shell says it, 128 + n for signal n.
        status: Status,
        /// The signal that ended it, or 0.
        signal: i32,
    },
    /// A child could not be started.
    ChildCannotStart {
        /// The child.
        child: ChildNumber,
        /// 127, 126, or the status of a failure of the machine.
        status: Status,
        /// Why.
        reason: String,
    },
    /// The lines of this delivery and of all earlier deliveries are written.
    Written(DeliveryId),
    /// Standard output cannot be written.
    CannotWrite(String),
    /// A copy was confirmed and reached a queue, or the reason why not.
    Copied(DeliveryId, Result<(), String>),
    /// Whether the queue counts deliveries; `None`: the broker does not say.
    CountsDeliveries(Option<bool>),
}

/// A line of a child on the descriptor for its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The exit status for a message, and how many bytes of output the driver keeps.
    Status(Status, usize),
    /// It is no answer, and this is what it is.
    Nonsense(String),
}

/// What comes over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBroker {
    /// The connection is open, and the queue exists.
    Connected {
        /// The delivery limit of quorum queues unless the queue says otherwise, by the broker's version.
        delivery_limit: Option<u64>,
        /// Whether the broker counts the prefetch for the channel and not for each consumer.
        prefetch_of_channel: bool,
    },
    /// The offset behind the last message of the stream, before `Connected`. A run that ends when nothing is left ends there.
    StreamEndsAt(u64),
    /// The connection could not be opened, or was lost.
    Lost(ConnectionFailure),
    /// basic.consume-ok.
    Subscribed(SubscriptionId),
    /// basic.cancel-ok. All deliveries of the subscription have come before.
    Unsubscribed(SubscriptionId),
    /// basic.cancel by the broker.
    CancelledByBroker(SubscriptionId),
    /// A delivery.
    Delivered(DeliveryId, DeliveryInfo),
    /// The number of ready messages, by a passive declare. 0 does not prove that the queue is empty.
    Ready(u32),
    /// The same for a stream that nothing was read from: its count may be too low.
    UnreadStream,
    /// connection.close-ok.
    Closed,
}

/// What the core needs to know about a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryInfo {
    /// The subscription that it came on.
    pub subscription: SubscriptionId,
    /// The broker says that it may have delivered the message before.
    pub redelivered: bool,
    /// `x-delivery-count`, where the queue counts.
    pub delivery_count: Option<u64>,
    /// `x-attempts`. Absent for a message that was parked and moved back: there it counts for nothing.
    pub attempts: Option<u64>,
    /// The message was dead-lettered before (`x-death`).
    pub dead_lettered: bool,
    /// The size of the body in bytes.
    pub size: usize,
    /// The message's number in its stream (`x-stream-offset`).
    pub offset: Option<u64>,
    /// Why no copy can be made of the message, where none can.
    pub obstacle: Option<Obstacle>,
    /// A digest that tells messages apart.
    pub digest: u64,
    /// The message cannot be framed as is asked for. No command is given it.
    pub is_unfit: bool,
}

/// Why a message cannot be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The copy would not be identical.
    NotAsItIs,
    /// Its headers fill a frame, and the copy's would not fit into one.
    HeadersTooLarge,
}

/// Something for the driver to do, in the order of the actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, after this pause, and prepare the queue. Answered by `Connected` or `Lost`.
    Connect(ConnectionId, Duration),
    /// basic.consume, in a stream from this offset, if there is one. Answered by `Subscribed` or `Lost`.
    Subscribe(SubscriptionId, Option<u64>),
    /// basic.cancel. Answered by `Unsubscribed` or `Lost`.
    Unsubscribe(SubscriptionId),
    /// basic.qos, where it counts for the channel.
    Prefetch(u16),
    /// A passive declare of the queue. Answered by `Ready`, `UnreadStream` or `Lost`.
    CountReady,
    /// basic.ack, basic.nack or basic.reject.
    Settle(DeliveryId, Settlement),
    /// connection.close. Answered by `Closed` or `Lost`, within `broker`'s limit for it.
    Close,
    /// Cut the connection, or give up connecting. No event of that connection follows.
    Abandon,
    /// Start the command, or write the line. Answered for a command by `CommandEnded` or `CannotStart`, for a line by `Written`
    /// or `CannotWrite`.
    Start {
        /// The delivery.
        id: DeliveryId,
        /// Which attempt at the message this is, from 1.
        attempt: u64,
    },
    /// Start a command for all of these. It is named by the first of them. Answered by `CommandEnded` or `CannotStart`.
    StartBatch(Vec<DeliveryId>),
    /// Send a signal to a command's process group.
    Signal(DeliveryId, ToCommand),
    /// Start a child that gets several messages. Answered by `ChildEnded` or `ChildCannotStart`.
    StartChild(ChildNumber),
    /// Give a message to a child, after those that it has. Answered by `Answered`, or not.
    Feed(ChildNumber, DeliveryId),
    /// A child works on this message from now on, or it is decided without one: for the job log.
    Begin(DeliveryId),
    /// Close a child's standard input, after what it was given.
    CloseInput(ChildNumber),
    /// Send a signal to a child's process group.
    SignalChild(ChildNumber, ToCommand),
    /// Write no more lines.
    StopWriting,
    /// Publish a copy of the message, or the output of its command, confirmed, on a connection of its own. Answered by `Copied`.
    Copy(DeliveryId, Copy),
    /// Find out whether the queue counts deliveries. Answered by `CountsDeliveries`.
    AskWhetherDeliveriesAreCounted,
    /// A command ended, or was not started: what the job log says of it. What is decided follows as `Conclude`.
    Log {
        /// The delivery that it ran for.
        id: DeliveryId,
        /// Which attempt at the message this was, from 1.
        attempt: u64,
        /// Its exit status.
        status: Status,
        /// The signal that ended it, or 0.
        signal: i32,
    },
    /// What became of a message that was worked on. It comes with the settlement, if there is one.
    Conclude(DeliveryId, Outcome),
    /// The core does not name this delivery again.
    Forget(DeliveryId),
    /// Tell the person at the terminal.
    Say(Notice),
    /// Tell the person at the terminal of a failed command, unless that is not wanted (`--quiet`).
    TellFailed(FailedCommand),
}

/// How a delivery is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// basic.ack.
    Ack,
    /// basic.ack `multiple`: this delivery and all earlier ones that are unsettled.
    AckUpTo,
    /// basic.nack with requeue: the message was not tried.
    Return,
    /// basic.nack `multiple` with requeue.
    ReturnUpTo,
    /// basic.reject with requeue: the message was tried, and quorum queues count that.
    Requeue,
    /// basic.reject: to the dead-letter exchange, or dropped.
    Reject,
}

/// What became of a message that was worked on, in metrics and in the job log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its command succeeded, or its line was written: it was acknowledged.
    Succeeded,
    /// It was given back to the queue, or a copy went to the queue's tail.
    Requeued,
    /// It was rejected.
    Rejected,
    /// A copy went to the parking queue.
    Parked,
    /// A copy waits in the broker and comes back.
    Delayed,
    /// It failed and was acknowledged.
    Ignored,
    /// Its command runs again on the same delivery. Another outcome follows.
    Repeated,
    /// Its delivery was lost with the connection: the broker delivers it again.
    Dropped,
}

/// A signal to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToCommand {
    /// SIGTERM, and SIGCONT for one that is stopped.
    Terminate,
    /// SIGKILL.
    Kill,
    /// A signal that the tool got from its terminal.
    Pass(i32),
}

/// What is published for a message: a copy of it, or the output of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// To the tail of its queue, with this `x-attempts`, since it failed.
    Attempt(u64),
    /// To the parking queue, with this `x-attempts` and the last exit status, if there was one.
    Park(u64, Option<Status>),
    /// To the queue in which it waits for so long before it comes back, with this `x-attempts`, since it failed.
    Delay(Duration, u64),
    /// To the tail of its queue, since the broker would soon drop it; with this `x-attempts` if attempts are counted.
    Renew(Option<u64>),
    /// What its command wrote, which succeeded: to the next queue, to whoever waits for a reply, or both.
    Output,
    /// The reply to a message that has failed for good, with this status, before it leaves the queue.
    Reply(Status, FinalOutcome),
}

/// How a message that has failed for good leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalOutcome {
    /// As [`Copy::Park`].
    Parked(u64, Option<Status>),
    /// It is rejected.
    Rejected,
    /// It is acknowledged.
    Ignored,
}

impl Copy {
    /// Whether it is made of a command's output. Any other is a copy of the message.
    #[must_use]
    pub fn is_result(self) -> bool {
        matches!(self, Copy::Output | Copy::Reply(..))
    }
}

/// How a command ended that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// By its exit status, or by that of a child's answer.
    Exited(Status),
    /// By this signal.
    Killed(i32),
    /// It ran longer than this and was told to end.
    TimedOut(Duration),
    /// By the exit status 0 of a child that had not answered.
    WithoutAnswer,
}

/// What becomes of a message whose command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The command runs again after this pause.
    RunsAgain(Duration),
    /// Its batch runs again in halves.
    RunsInHalves,
    /// It goes back to the queue after this pause; `None`: when the run ends.
    Requeued(Option<Duration>),
    /// It stays in its stream, to which nothing can be given back.
    StaysInStream,
    /// It waits in the broker for so long, and comes back.
    Delayed(Duration),
    /// It goes to the parking queue.
    Parked,
    /// It is rejected.
    Rejected,
    /// It is acknowledged though it failed.
    Ignored,
    /// It was acknowledged before its command started.
    AcknowledgedBefore,
    /// Its connection was lost before that was decided. The broker delivers it again.
    DeliveredAgain,
}

/// A command that failed, and its messages of which the same becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCommand {
    /// These messages.
    pub ids: Vec<DeliveryId>,
    /// How the command ended.
    pub end: CommandEnd,
    /// What becomes of each of them.
    pub fate: Fate,
}

/// What the person at the terminal is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was lost, and another one is opened.
    ConnectingAnew(String),
    /// Another failure, after the one that ends the run.
    AlsoFailed(String),
    /// So many settlements were sent and are not certain.
    InDoubt(u64),
    /// The connection of a command's message was lost before the command ended with this status.
    ResultDropped(Status),
    /// A line was written after the connection of its message was lost.
    WrittenTwice,
    /// So many messages were lost with the connection while a child had them. Its answers to them are dropped.
    AnswersDropped(u64),
    /// A child ended with this status and had nothing to answer.
    ChildEnded(ChildNumber, Status),
    /// A child's answer is nonsense. The child is told to end.
    BadAnswer(ChildNumber, String),
    /// A child answered, and had nothing to answer. It is told to end.
    NothingToAnswer(ChildNumber),
    /// A child closed the descriptor for its answers, and goes on running. It is told to end.
    CannotAnswer(ChildNumber),
    /// A message cannot be framed as is asked for. It has failed.
    DoesNotFit,
    /// The program of the command line cannot be started.
    CannotStart(String),
    /// A copy was refused; the message is held.
    CopyRefused(String),
    /// The output of a command that succeeded was refused; its message is held.
    OutputRefused(String),
    /// The connection was lost when a command had succeeded and its output was on its way.
    OutputMayRepeat,
    /// A message cannot be copied; it is held.
    CannotCopy(Obstacle),
    /// A message was acknowledged on arrival, and its command did not succeed: the message is lost.
    LostUnacknowledged,
    /// A message that was rejected came back at once.
    RejectedCameBack,
    /// A message is republished before the broker drops it, after so many deliveries. True for the first one.
    Renewing(u64, bool),
    /// A message is parked without being run, after so many attempts.
    ParkedOnArrival(u64),
    /// More messages failed than can be held.
    TooManyFailed,
    /// So many failed messages were requeued and did not come again.
    NotSeenAgain(u64),
    /// So many failed messages were to come back from the queue that they waited in, and did not.
    NotBack(u64),
    /// The run ends, and another one goes on in the stream from this offset.
    GoOnFrom(u64),
    /// The run ends, and the message of this offset, which was not done, did not come again.
    GoneFromStream(u64),
    /// Held messages are requeued, because the queue delivers nothing while they are held.
    GivingBackHeld,
}
