//! Signals: the first lets commands finish, the second tells them to end, and nothing is lost.

use super::{has_lines, nobody_is_left};
use crate::support::{Proxy, Queue, Running, Signal, Test};

/// Says that it runs, and ends when the file `go` is there.
const PATIENT: &str = r"cat >>taken; echo >>ready; until [ -e go ]; do sleep 0.01; done";

/// A tool whose command runs until it is told to go.
fn busy<'t>(test: &'t Test, flags: &str) -> Running<'t> {
    test.script("patient", PATIENT);
    let tool = test
        .run(&format!("amqp-consume -q {{queue}} {flags} ./patient"))
        .spawn();
    has_lines(test, "ready", 1);
    tool
}

/// Sends the first signal and waits until the tool takes no more messages.
fn signal_and_wait(tool: &Running<'_>, signal: Signal, queue: &Queue<'_>) {
    tool.signal(signal);
    queue.has_consumers(0);
}

#[test]
fn an_idle_tool_ends_at_once() {
    for (signal, status) in [
        (Signal::TERM, 143),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
        (Signal::HUP, 129),
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        let tool = test.run("amqp-consume -q {queue} cat").spawn();
        queue.has_consumers(1);
        tool.signal(signal);
        tool.exits(status);
        queue.has_consumers(0);
    }
}

#[test]
fn a_running_command_is_let_finish_and_its_message_acknowledged() {
    for (flags, status) in [("", 143), ("-c 2", 143), ("-c 1", 0)] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish(["a"]);
        let tool = busy(&test, flags);
        signal_and_wait(&tool, Signal::TERM, &queue);
        test.file("go", "");
        tool.exits(status);
        queue.holds(0);
        nobody_is_left(&test);
    }
}

#[test]
fn messages_not_started_go_back_untried() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b", "c"]);
    let tool = busy(&test, "-p 10");
    tool.signal(Signal::TERM);
    queue.holds(2);
    test.file("go", "");
    tool.exits(143);
    assert_eq!(test.read("taken"), "a");
    assert_eq!(queue.take_texts(), ["b", "c"]);
}

#[test]
fn a_second_signal_ends_the_commands() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    let tool = busy(&test, "-j 2 -c 2");
    has_lines(&test, "ready", 2);
    signal_and_wait(&tool, Signal::TERM, &queue);
    tool.signal(Signal::TERM);
    tool.exits(143);
    nobody_is_left(&test);
    queue.holds(2);
}

#[test]
fn a_third_signal_kills_the_commands() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "stubborn",
        "trap 'echo >>ready' TERM; echo >>ready; while :; do sleep 0.01; done",
    );
    let tool = test
        .run("amqp-consume -q {queue} ./stubborn")
        .any_stderr()
        .spawn();
    has_lines(&test, "ready", 1);
    signal_and_wait(&tool, Signal::TERM, &queue);
    tool.signal(Signal::TERM);
    has_lines(&test, "ready", 2);
    tool.signal(Signal::TERM);
    tool.exits(143);
    nobody_is_left(&test);
    queue.holds(1);
}

#[test]
fn signals_of_the_terminal_reach_the_commands_at_once() {
    for (signal, name, status) in [
        (Signal::INT, "INT", 130),
        (Signal::QUIT, "QUIT", 131),
        (Signal::HUP, "HUP", 129),
    ] {
        let test = Test::new();
        let queue = test.queue("queue").declare();
        queue.publish(["a"]);
        test.script(
            "listen",
            &format!("trap 'echo got {name} >told; exit 9' {name}; touch ready; while :; do sleep 0.01; done"),
        );
        let tool = test
            .run("amqp-consume -q {queue} --on-failure ack ./listen")
            .any_stderr() // the shell tells how its sleep ended
            .spawn();
        test.wait_for_file("ready");
        tool.signal(signal);
        tool.exits(status);
        assert_eq!(test.read("told"), format!("got {name}\n"));
        // It was interrupted: no failure, whatever the policy does about those.
        queue.holds(1);
    }
}

#[test]
fn a_command_may_finish_after_the_terminals_signal() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "finish",
        "trap 'exit 0' INT; touch ready; while :; do sleep 0.01; done",
    );
    let tool = test.run("amqp-consume -q {queue} -c 1 ./finish").spawn();
    test.wait_for_file("ready");
    tool.signal(Signal::INT);
    tool.succeeds();
    queue.holds(0);
}

#[test]
fn sigterm_to_the_tool_alone_reaches_no_command() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "note",
        "trap 'echo >told' TERM; touch ready; until [ -e go ]; do sleep 0.01; done",
    );
    let tool = test.run("amqp-consume -q {queue} ./note").spawn();
    test.wait_for_file("ready");
    signal_and_wait(&tool, Signal::TERM, &queue);
    test.file("go", "");
    tool.exits(143);
    assert_eq!(test.read("told"), "");
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    let mut tool = test
        .shell("trap '' HUP; exec amqp-consume -q {queue} cat")
        .stdout("a")
        .spawn();
    queue.has_consumers(1);
    tool.signal(Signal::HUP);
    queue.publish(["a"]);
    tool.has_printed("a");
    tool.signal(Signal::TERM);
    tool.exits(143);
}

#[test]
fn a_command_finds_signals_as_whoever_started_the_tool_left_them() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a"]);
    // The seven digits are signals 1 to 28; the C library has its own way with 32 and 33.
    test.script(
        "signals",
        r"sed -En 's/^Sig(Blk|Ign):.*(.......)$/\1 \2/p' /proc/self/status",
    );
    let script = "trap '' HUP USR1; exec amqp-consume -q {queue} -c 1 ./signals";
    test.shell(&format!("exec env --default-signal sh -c \"{script}\""))
        .stdout("Blk 0000000\nIgn 0000201\n")
        .succeeds();
}

#[test]
fn a_command_that_fails_by_itself_meanwhile_has_failed() {
    let test = Test::new();
    let dead_letters = test.queue("dead").declare();
    let queue = test.queue("queue").declare();
    queue.publish(["a"]);
    test.script(
        "fail",
        "touch ready; until [ -e go ]; do sleep 0.01; done; exit 5",
    );
    let tool = test
        .run("amqp-consume --quiet -q {queue} -c 1 --max-attempts 1 --park {dead} ./fail")
        .spawn();
    test.wait_for_file("ready");
    signal_and_wait(&tool, Signal::TERM, &queue);
    test.file("go", "");
    tool.exits(143);
    dead_letters.holds(1);
    queue.holds(0);
}

#[test]
fn the_tool_ends_while_it_is_still_connecting() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    proxy.stall();
    let tool = test
        .run(&format!(
            "amqp-consume --url {} --connect-timeout 1h -q q cat",
            proxy.url()
        ))
        .spawn();
    crate::support::eventually("a connection", || proxy.connections() == 1);
    tool.signal(Signal::TERM);
    tool.exits(143);
}

#[test]
fn the_tool_ends_while_it_waits_for_a_broker_to_come_back() {
    let test = Test::new();
    let mut tool = test
        .run("amqp-consume --url amqp://127.0.0.1:1 --retry 1h -q q cat")
        .stderr_contains("retrying")
        .spawn();
    tool.has_complained("retrying");
    tool.signal(Signal::TERM);
    tool.exits(143);
}

#[test]
fn the_tool_ends_though_the_broker_has_fallen_silent() {
    let test = Test::new();
    let proxy = Proxy::before(&test);
    let queue = test.queue("queue").declare();
    let tool = test
        .run(&format!(
            "amqp-consume --url {} -q {{queue}} cat",
            proxy.url()
        ))
        .spawn();
    queue.has_consumers(1);
    proxy.stall();
    tool.signal(Signal::TERM);
    tool.exits(143);
}

#[test]
fn the_tool_ends_though_nobody_reads_its_standard_error() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    // The first line of the log that cannot be written is something to say.
    let tool = test
        .run("amqp-consume -q {queue} --joblog /dev/full sh -c 'cat >>done; echo >>done'")
        .stderr_full()
        .spawn();
    has_lines(&test, "done", 2);
    queue.has_consumers(1);
    tool.signal(Signal::TERM);
    tool.exits(143);
    queue.holds(0);
}
