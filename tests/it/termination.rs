//! Signals end the tools that have nothing to put right, in whatever wait they are.

use crossbeam_channel::{Receiver, unbounded};

use crate::consume::first_process::{as_first_process, signal_first_process};
use crate::lying_servers::wait_for_the_end;
use crate::support::{Signal, Test};
use crate::wire::{Server, serve_login};

const TOOLS: [&str; 8] = [
    "amqp-get -q queue",
    "amqp-get -q queue -c 9 --requeue",
    "amqp-declare-exchange exchange",
    "amqp-delete-exchange exchange",
    "amqp-declare-queue -q queue",
    "amqp-declare-queue --passive queue",
    "amqp-delete-queue queue",
    "amqp-call -r queue -b a",
];

const SIGNALS: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP];

/// A server that lets clients log in and never answers their first request. It says when that has come.
fn owing_an_answer() -> (Server, Receiver<()>) {
    let (sender, asked) = unbounded();
    let server = Server::start(move |client| {
        serve_login(client)?;
        sender.send(()).unwrap();
        wait_for_the_end(client)
    });
    (server, asked)
}

#[test]
fn a_tool_that_is_owed_an_answer_ends_by_a_signal() {
    let (server, asked) = owing_an_answer();
    let test = Test::new();
    for line in TOOLS {
        for signal in SIGNALS {
            let url = format!("amqp://{}", server.address());
            let tool = test.run(line).env("AMQP_URL", &url).spawn();
            asked.recv().unwrap();
            tool.signal(signal);
            tool.dies_of(signal);
        }
    }
}

#[test]
fn so_does_the_first_process_of_a_container() {
    let (server, asked) = owing_an_answer();
    let test = Test::new();
    for line in TOOLS {
        for signal in SIGNALS {
            let url = format!("amqp://{}", server.address());
            let tool = as_first_process(&test, line).env("AMQP_URL", &url).spawn();
            asked.recv().unwrap();
            signal_first_process(&tool, signal);
            tool.exits(128 + signal.as_raw());
        }
    }
}

#[test]
fn so_does_one_that_was_started_with_signals_ignored_but_for_hangups() {
    let (server, asked) = owing_an_answer();
    let test = Test::new();
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let tool = test
            .shell(&format!(
                "trap '' TERM INT QUIT HUP; exec amqp-get -q queue -u amqp://{}",
                server.address()
            ))
            .spawn();
        asked.recv().unwrap();
        tool.signal(Signal::HUP);
        tool.signal(signal);
        tool.dies_of(signal);
    }
}

/// It puts messages right at its end, and says with its status which signal it was.
#[test]
fn a_move_ends_by_a_signal_too() {
    let (server, asked) = owing_an_answer();
    let test = Test::new();
    for signal in SIGNALS {
        let moving = test
            .run("amqp-move -q source -r target")
            .env("AMQP_URL", &format!("amqp://{}", server.address()))
            .stderr("interrupted; 0 messages moved\n")
            .spawn();
        asked.recv().unwrap();
        moving.signal(signal);
        moving.exits(128 + signal.as_raw());
    }
}
