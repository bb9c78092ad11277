//! Random command lines: both tools must do the same, but for what `docs/COMPATIBILITY.md` lists, which is not drawn here.
//!
//! A command that does not read its input is one of these. `AMQP_TOOLS_LINES=2500` draws more, and `AMQP_TOOLS_FIRST_LINE=1000` others.

use std::env;
use std::panic::catch_unwind;

use super::scenario::with_messages;

/// How many lines are drawn, and the number of the first.
const LINES: u64 = 300;
const FIRST_LINE: u64 = 0;

#[test]
fn random_command_lines() {
    let first = number_in("AMQP_TOOLS_FIRST_LINE").unwrap_or(FIRST_LINE);
    let lines = number_in("AMQP_TOOLS_LINES").unwrap_or(LINES);
    let differs = |number: &u64| {
        let line = Dice::new(*number).line();
        let both = || {
            with_messages(["a", "b"], &line).stdin("1\n2 \n").same();
        };
        catch_unwind(both).is_err()
    };
    let different: Vec<u64> = (first..first + lines).filter(differs).collect();
    assert!(different.is_empty(), "these differ: {different:?}");
}

fn number_in(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Draws one line. The same number draws the same line.
struct Dice(u64);

impl Dice {
    fn new(number: u64) -> Self {
        Self(number)
    }

    /// Less than `limit` (`SplitMix64`).
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// A tool with its options in any order, each spelled in one of its ways.
    fn line(&mut self) -> String {
        let tool = self.one_of(&["publish", "consume", "get", "declare-queue", "delete-queue"]);
        let mut options = self.connection();
        options.extend(match tool {
            "publish" => self.publishing(),
            "consume" => self.consuming(),
            "declare-queue" => self.declaring(),
            "delete-queue" => self.deleting(),
            _ => self.queue(),
        });
        if self.chance(8) {
            options.push(
                self.one_of(&["--bogus", "-Z", "--queu={queue}", "--verbose"])
                    .to_owned(),
            );
        }
        let mut line = format!("amqp-{tool}");
        while !options.is_empty() {
            let next = self.below(options.len());
            line.push(' ');
            line.push_str(&options.swap_remove(next));
        }
        if tool == "consume" {
            line.push_str(self.one_of(&[" -- cat", " cat", " -- sh -c 'cat; echo'"]));
        }
        line
    }

    /// An option with a value, short where it has a letter.
    fn spelled(&mut self, short: Option<char>, long: &str, value: &str) -> String {
        match (self.below(5), short) {
            (0, Some(short)) => format!("-{short} '{value}'"),
            (1, Some(short)) if !value.is_empty() => format!("-{short}'{value}'"),
            (2, Some(short)) => format!("-{short}='{value}'"),
            (3, _) => format!("--{long}='{value}'"),
            _ => format!("--{long} '{value}'"),
        }
    }

    fn connection(&mut self) -> Vec<String> {
        if self.chance(50) {
            let mut options = vec![self.spelled(Some('u'), "url", "{url}")];
            if self.chance(5) {
                options.push(self.spelled(None, "vhost", "/"));
            }
            return options;
        }
        let mut options = vec![
            self.spelled(Some('s'), "server", "{host}"),
            self.spelled(None, "port", "{port}"),
        ];
        if self.chance(30) {
            let vhost = self.one_of(&["/", "/", "nowhere"]);
            options.push(self.spelled(None, "vhost", vhost));
        }
        if self.chance(30) {
            let password = self.one_of(&["guest", "guest", "wrong"]);
            options.push(self.spelled(None, "username", "guest"));
            options.push(self.spelled(None, "password", password));
        }
        if self.chance(20) {
            let heartbeat = self.one_of(&["0", "5", "60", ""]);
            options.push(self.spelled(None, "heartbeat", heartbeat));
        }
        options
    }

    /// `--queue`, mostly of the queue that there is.
    fn queue(&mut self) -> Vec<String> {
        let names = ["{queue}", "{queue}", "{queue}", "{queue}", "{missing}"];
        let count = self
            .one_of(&["1", "1", "1", "1", "1", "2", "0"])
            .parse()
            .unwrap();
        let mut options = Vec::new();
        for _ in 0..count {
            let name = self.one_of(&names);
            options.push(self.spelled(Some('q'), "queue", name));
        }
        options
    }

    fn declaring(&mut self) -> Vec<String> {
        let mut options = self.queue();
        if self.chance(60) {
            options.push(self.one_of(&["-d", "--durable"]).to_owned());
        }
        options
    }

    fn deleting(&mut self) -> Vec<String> {
        let mut options = self.queue();
        if self.chance(30) {
            options.push(self.one_of(&["-e", "--if-empty", "--if-unused"]).to_owned());
        }
        options
    }

    fn publishing(&mut self) -> Vec<String> {
        let mut options = Vec::new();
        let to_exchange = self.chance(25);
        if to_exchange {
            options.push(self.spelled(Some('e'), "exchange", "amq.direct"));
        }
        if !self.chance(8) {
            // A queue that does not exist is one of the differences.
            options.push(self.spelled(Some('r'), "routing-key", "{queue}"));
        }
        if self.chance(40) {
            options.push(self.one_of(&["-p", "--persistent"]).to_owned());
        }
        match self.below(10) {
            0..4 => {
                let body = self.one_of(&["body", "", "two words", "ü"]);
                options.push(self.spelled(Some('b'), "body", body));
            }
            4..7 => options.push(self.one_of(&["-l", "--line-buffered"]).to_owned()),
            _ => {}
        }
        let texts = [
            ('C', "content-type", "text/plain"),
            ('E', "content-encoding", "gzip"),
            ('t', "reply-to", "answers"),
            ('H', "header", "key: value"),
            ('H', "header", "other:  \tvalue"),
            ('H', "header", "empty:"),
        ];
        for (short, long, value) in texts {
            if self.chance(20) {
                options.push(self.spelled(Some(short), long, value));
            }
        }
        options
    }

    /// Of as many messages as there are: a consumer without a limit does not end.
    fn consuming(&mut self) -> Vec<String> {
        let name = self.one_of(&["{queue}", "{queue}", "{queue}", "{missing}"]);
        let count = self.one_of(&["1", "2", "0"]);
        let mut options = vec![
            self.spelled(Some('q'), "queue", name),
            self.spelled(Some('c'), "count", count),
        ];
        // The reference loses what was delivered beyond the count.
        if count == "2" && self.chance(20) {
            options.push(self.one_of(&["-A", "--no-ack"]).to_owned());
        }
        if self.chance(30) {
            let prefetch = self.one_of(&["1", "2", "5"]);
            options.push(self.spelled(Some('p'), "prefetch-count", prefetch));
        }
        options
    }
}
