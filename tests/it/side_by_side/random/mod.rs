//! Random command lines: both tools must do the same, but for what `docs/COMPATIBILITY.md` lists, which is not drawn here.
//!
//! A command that does not read its input is one of these. `AMQP_TOOLS_LINES=2500` draws more, and `AMQP_TOOLS_FIRST_LINE=1000` others.
//!
//! * `dice`: a line is drawn.
//! * `spelling`: the ways in which popt takes an option.

mod dice;
mod spelling;

use std::env;
use std::panic::catch_unwind;

use super::scenario::with_messages;
use dice::Dice;

/// How many lines are drawn, and the number of the first.
const LINES: u64 = 300;
const FIRST_LINE: u64 = 0;

#[test]
fn random_command_lines() {
    let first = number_in("AMQP_TOOLS_FIRST_LINE").unwrap_or(FIRST_LINE);
    let lines = number_in("AMQP_TOOLS_LINES").unwrap_or(LINES);
    let differs = |number: &u64| {
        let mut dice = Dice::new(*number);
        let (line, stdin) = (dice.line(), dice.stdin());
        let both = || {
            with_messages(["a", "b"], &line)
                .file("auth", "username:guest\npassword:guest\n")
                .stdin(stdin)
                .same();
        };
        catch_unwind(both).is_err()
    };
    let different: Vec<u64> = (first..first + lines).filter(differs).collect();
    assert!(different.is_empty(), "these differ: {different:?}");
}

fn number_in(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}
