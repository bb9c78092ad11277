//! Channels that a session has left. What was delivered on a channel can be answered only there.

use super::error::Result;
use super::session::Session;

/// How many acknowledgements or requeues are certain once the channel is closed. A channel passes on 32 that a quorum queue
/// has not answered yet. It keeps back what follows, and drops that when it is closed, though it answers the close
/// (<https://github.com/rabbitmq/rabbitmq-server/issues/10327>). Messages got by basic.get count one by one, also where one
/// method answers them all.
pub const CERTAIN_AT_CLOSE: usize = 32;

/// A channel that its session has [left](Session::change_channel).
pub struct LeftChannel(amiquip::Channel);

impl Session {
    /// Goes on with a new channel.
    pub fn change_channel(&mut self) -> Result<LeftChannel> {
        self.replace_channel().map(LeftChannel)
    }

    /// Requeues all that was delivered on the present channel and is not answered (basic.nack).
    pub fn requeue_all(&self) -> Result<()> {
        self.call("basic.nack", |channel| channel.nack_all(true))
    }
}

impl LeftChannel {
    /// Requeues all that was delivered on it and is not answered (basic.nack). `session` is the one that left it.
    pub fn requeue_all(&self, session: &Session) -> Result<()> {
        self.0
            .nack_all(true)
            .map_err(|error| session.failure("basic.nack", error))
    }

    /// Closes it (channel.close). What is not answered is requeued, all at once; `Ok` means that a classic queue has it again.
    /// `session` is the one that left it.
    pub fn close(self, session: &Session) -> Result<()> {
        session
            .bounded(|| self.0.close())
            .map_err(|error| session.failure("closing channel", error))
    }
}
