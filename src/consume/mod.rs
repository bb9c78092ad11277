//! amqp-consume: runs a command for each message and settles the message by the command's exit status.
//!
//! ```text
//! delivery ─► command ─► exit status ─► acknowledgement, requeue, reject or republication ─► exit status of the tool
//! ```
//!
//! # Theory of operation
//!
//! [`run`] is the core: it decides everything and does no I/O. [`Run::on`](run::Run::on) takes an event and the time, and returns
//! actions. The driver waits (for the broker, signals, commands, standard output, deadlines), tells the core what happened, and
//! carries out the actions in their order. An action that fails comes back as an event. Only the core moves a message, a run or
//! a connection from one state to another.
//!
//! **A message** that was delivered is in one state:
//!
//! | state | how it gets there | how it leaves |
//! |---|---|---|
//! | waiting | the broker delivers it | a job is free: Working; the run ends: requeued, untried |
//! | Working | its command is started, or its line written | success: acknowledged, or Copying if its output is published; failure: Resting, or by the policy; told to end with the run: requeued |
//! | Behind | its batch is started, and another message stands for it | the batch's command ends: as that message |
//! | Split | its batch failed and is run again in halves (`--split`) | a job is free: Working or Behind; the run ends: requeued |
//! | With a child | a child has it that gets several messages | the child answers, or ends while it works on it: as from Working; the child ends before: Postponed |
//! | Resting | its command failed and has `--retries` left | when it is due: Working; the run ends: requeued |
//! | Postponed | it was rejected, and comes back at once; or the child that had it ended and had not begun it | when it is due and a job is free: Working; the run ends: requeued |
//! | Undecided | it failed, and the policy depends on whether the queue counts deliveries | when that is known: by the policy |
//! | Held | it failed and is to be tried again | after its pause, or at the end with `-c`: requeued, or Copying if attempts are counted in a header |
//! | Copying | a copy is on its way to the queue's tail, the parking queue or a queue that it waits in (`retry:`), or the command's output to its queue or caller | confirmed: acknowledged; refused: Refused |
//! | Refused | its copy was refused, or cannot be made | after a pause: Copying; the run ends: requeued |
//!
//! By the policy (`failure`), a message whose command failed for good is Held, rejected, acknowledged, or Copying to the parking
//! queue. One that arrives with too many failures or deliveries behind it is Copying at once.
//!
//! A message that is acknowledged, rejected or requeued has left the core. The settlement of one that is done is not certain
//! before the broker has answered something that was asked after it. If the connection is lost before, the message is in doubt:
//! it counts as not done. A lost connection also takes away all messages that are not settled, since the broker delivers them
//! again; a command that runs goes on, and its result is dropped.
//!
//! **A child** of `--coprocess` runs in the place of a job. It gets messages while it takes some, and works on the oldest that it has not
//! answered. It is told to end when it does not answer as it should, when its message takes too long, or with the run; then
//! nothing that it says counts, unless only the run ends. When it has ended, another one follows after a pause. A child outlives
//! its connection: what it answers about lost deliveries is dropped.
//!
//! **A run** is in one phase:
//!
//! | phase | what it does | how it gets there |
//! |---|---|---|
//! | Consuming | takes messages and starts commands | at the beginning |
//! | Draining | takes no more, and lets commands finish | the work is done, `stop`, `--halt`, `--max-time`, the first signal, a command that cannot be started, trouble |
//! | Stopping | has told the commands to end | `--grace` is over, the second signal, a lost connection without `--retry` |
//!
//! It goes from Draining back to Consuming in one case: the work was done, and a connection that was lost at the end left some
//! of it in doubt (`--retry`). The run has ended when there is no connection and no command or child runs.
//!
//! **A connection** is being made, open, closing, or gone; with `--retry` another one follows. On an open one there is one
//! subscription at a time; the core cancels it and subscribes anew for fresh credit, to make settlements certain, and to learn
//! whether the queue is empty.
//!
//! # Modules
//!
//! * `options`, `failure`: what the command line asks for; `failure` decides by exit status and number of failures.
//! * `offset`: where the reading of a stream begins.
//! * `run`: the core: the state of each message, of the connection and of the run.
//! * `driver`: the loop, and the threads that wait for the broker, for standard output and for confirms.
//! * `process`: commands as processes.
//! * `framing`: how messages follow one another on one standard input.
//! * `answer`: what a child says about a message.
//! * `output`: collects what commands write, and passes it on to the tool's own streams.
//! * `publication`: the messages that a command's output becomes.
//! * `republish`: what a republished copy of a failed message looks like.
//! * `waiting_queue`: the queues that failed messages wait in before they come back.
//! * `signals`: signals to the tool.
//! * `joblog`: the log of commands.
//! * `monitor`: what `--status-address` shows.

mod answer;
mod driver;
mod failure;
mod framing;
mod joblog;
mod monitor;
pub(crate) mod offset;
mod options;
mod output;
mod process;
mod publication;
pub(crate) mod republish;
pub mod run;
mod signals;
mod waiting_queue;

pub use failure::{DeliveryLimit, FailureAction, FailurePolicy, Rule};
pub use offset::StreamOffset;
pub use options::{
    Acknowledgement, Batch, CommandWork, ConsumeOptions, Coprocess, Form, Framing, JoblogFile,
    JoblogFormat, SourceQueue, Stdin, Work,
};
pub use publication::{OutputTarget, Publishing};

use anyhow::Context;

use crate::broker::ConnectOptions;
use crate::monitoring::StatusServer;
use crate::status::Status;
use crate::system::closed;
use driver::Driver;
use monitor::Monitor;
use signals::SignalQueue;

/// Runs the command for each message, or prints it, until there is a reason to end.
pub fn consume(connect: &ConnectOptions, options: ConsumeOptions) -> anyhow::Result<Status> {
    if matches!(options.work, Work::Print { .. }) {
        closed::ensure_stdout_open().context("standard output")?;
    }
    let server = options
        .status_address
        .as_deref()
        .map(StatusServer::listen_for);
    let server = server.transpose()?;
    // Signals come first, so that one that comes while the tool connects ends it in order.
    let signals = SignalQueue::listen().context("taking note of signals")?;
    let monitor = Monitor::start(server).context("starting a thread")?;
    Driver::new(options, signals, connect, monitor)?.run()
}
