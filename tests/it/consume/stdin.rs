//! A command's standard input: the body, and always the whole of it.

use crate::support::{Signal, Test, eventually};

#[test]
fn it_is_whole_though_the_tool_is_killed() {
    const LENGTH: usize = 500_000;
    for stdin in ["pipe", "file"] {
        let test = Test::new();
        test.queue("queue").declare().publish([vec![b'x'; LENGTH]]);
        test.script(
            "count",
            "touch ready; until [ -e go ]; do sleep 0.01; done; wc -c >size.part; mv size.part size",
        );
        let mut tool = test
            .run(&format!(
                "amqp-consume -q {{queue}} -c 1 --stdin {stdin} ./count"
            ))
            .spawn();
        test.wait_for_file("ready");
        tool.signal(Signal::KILL);
        eventually("the end of the tool", || tool.has_ended());
        test.file("go", "");
        test.wait_for_file("size");
        assert_eq!(test.read("size").trim(), LENGTH.to_string(), "{stdin}");
        tool.dies_of(Signal::KILL);
    }
}

#[test]
fn it_is_a_pipe_unless_a_file_is_asked_for() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b", "c"]);
    test.run("amqp-consume -q {queue} -c 1")
        .args(["sh", "-c", "[ -p /dev/stdin ] && cat"])
        .stdout("a")
        .succeeds();
    test.run("amqp-consume -q {queue} -c 1 --stdin pipe")
        .args(["sh", "-c", "[ -p /dev/stdin ] && cat"])
        .stdout("b")
        .succeeds();
    test.run("amqp-consume -q {queue} -c 1 --stdin=file")
        .args(["sh", "-c", "[ -f /dev/stdin ] && cat"])
        .stdout("c")
        .succeeds();
}

#[test]
fn a_file_can_be_opened_anew_and_not_be_changed() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["one two"]);
    test.script(
        "read_twice",
        r"(echo x >/dev/stdin) 2>/dev/null && exit 9
           tail -c 3 /dev/stdin; head -c 3 /dev/stdin; tail -c +4",
    );
    test.run("amqp-consume -q {queue} -c 1 --stdin file ./read_twice")
        .stdout("twoone two")
        .succeeds();
    queue.holds(0);
}

#[test]
fn other_kinds_are_refused() {
    Test::new()
        .run("amqp-consume -q queue --stdin socket cat")
        .stderr_contains("--stdin")
        .exits(1);
    Test::new()
        .run("amqp-consume -q queue --stdin file --json")
        .stderr_contains("--stdin")
        .exits(1);
}
