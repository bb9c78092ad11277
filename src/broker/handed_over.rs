//! Channels that a session has left: what was handed over on one can be settled only there, at once and for certain.

use super::error::Result;
use super::session::Session;

/// How many acknowledgements, or messages given back, a close is known to carry out. A channel passes on 32 that a quorum
/// queue has not answered yet, keeps back what follows, and drops that when it is closed, though it answers the close
/// (<https://github.com/rabbitmq/rabbitmq-server/issues/10327>). Messages got by basic.get count one by one, whether
/// they are settled so or by one method for all.
pub const CERTAIN_AT_CLOSE: usize = 32;

/// A channel that its session has [left](Session::change_channel).
pub struct LeftChannel(amiquip::Channel);

impl Session {
    /// Goes on with a new channel.
    pub fn change_channel(&mut self) -> Result<LeftChannel> {
        self.replace_channel().map(LeftChannel)
    }

    /// Gives back all that was handed over on the present channel and is not settled (basic.nack with requeue).
    pub fn give_back_all(&self) -> Result<()> {
        self.channel()
            .nack_all(true)
            .map_err(|error| self.failure("basic.nack", error))
    }
}

impl LeftChannel {
    /// Gives back all that was handed over on it and is not settled (basic.nack with requeue). `session` is the one that
    /// left it.
    pub fn give_back_all(&self, session: &Session) -> Result<()> {
        self.0
            .nack_all(true)
            .map_err(|error| session.failure("basic.nack", error))
    }

    /// Closes it (channel.close). What is not settled goes back to its queue, all at once; `Ok` means that a classic queue
    /// has it again. `session` is the one that left it.
    pub fn close(self, session: &Session) -> Result<()> {
        session
            .bounded(|| self.0.close())
            .map_err(|error| session.failure("closing channel", error))
    }
}
