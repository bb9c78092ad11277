//! Exit statuses: one table for all tools. Only 0 says that the work was done.

use std::process::ExitCode;

/// A tool's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u8);

impl Status {
    /// The work was done, and the broker or the command confirmed it.
    pub const SUCCESS: Status = Status(0);
    /// The work was not done; standard error says why. Also for usage errors.
    pub const FAILURE: Status = Status(1);
    /// `amqp-get`: the queue was empty.
    pub const QUEUE_EMPTY: Status = Status(2);
    /// `amqp-consume`: the command ran longer than `--timeout`, as for timeout(1). `amqp-call`: no reply came in time.
    pub const TIMED_OUT: Status = Status(124);
    /// `amqp-consume`: the command could not be executed, as in a shell.
    pub const NOT_EXECUTABLE: Status = Status(126);
    /// `amqp-consume`: the command was not found, as in a shell.
    pub const NOT_FOUND: Status = Status(127);

    /// The status of a command that exited by itself.
    #[must_use]
    pub const fn exited(code: u8) -> Status {
        Status(code)
    }

    /// A signal ended the command or the tool: 128 + its number, as in a shell.
    #[must_use]
    pub fn signalled(signal: i32) -> Status {
        Status(u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }

    /// Whether the work was done.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Status::SUCCESS
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_128_and_their_number() {
        assert_eq!(Status::signalled(15).code(), 143);
        assert_eq!(Status::signalled(9).code(), 137);
        assert!(!Status::signalled(1).is_success());
    }
}
