//! Messages as lines of JSON, without a command.

use rustix::process::Pid;

use crate::support::{Signal, Test, eventually};

#[test]
fn each_message_is_a_line_and_acknowledged() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b\n", "c"]);
    test.run("amqp-consume -q {queue} -c 2 --json")
        .stdout(
            "{\"body\":\"a\",\"exchange\":\"\",\"routing_key\":\"{queue}\",\"redelivered\":false}\n\
             {\"body\":\"b\\n\",\"exchange\":\"\",\"routing_key\":\"{queue}\",\"redelivered\":false}\n",
        )
        .succeeds();
    queue.holds(1);
}

#[test]
fn a_dump_is_a_seed() {
    let test = Test::new();
    let from = test.queue("from").declare();
    let to = test.queue("to").declare();
    from.publish((0..500).map(|number| number.to_string()));
    test.shell("amqp-consume -q {from} --json --idle-timeout 0s | amqp-publish -r {to} --jsonl")
        .succeeds();
    from.holds(0);
    to.holds(500);
    let expected: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(to.take_texts(), expected);
}

#[test]
fn what_cannot_be_written_stays_in_the_queue() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(["a", "b"]);
    let line = "amqp-consume -q {queue} --json -c 2";
    let complaint = "writing the message to standard output (it stays in the queue)";
    test.run(line)
        .stdout_to("/dev/full")
        .stderr_line(complaint)
        .exits(1);
    queue.holds(2);
    test.run(line)
        .stdout_closed()
        .stderr_line(complaint)
        .exits(1);
    queue.holds(2);
    test.shell(&format!("{line} >&-"))
        .stderr_line("standard output: it is closed")
        .exits(1);
    queue.holds(2);
}

fn has_thread(process: Pid, name: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).unwrap();
    threads.flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm"))
            .is_ok_and(|comm| comm.trim_end() == name)
    })
}

#[test]
fn a_reader_who_takes_his_time_keeps_no_signal_away() {
    let test = Test::new();
    let queue = test.queue("queue").declare();
    queue.publish(vec![vec![b'x'; 100_000]; 10]);
    // Nobody reads: the first line does not fit the pipe.
    let tool = test
        .shell("amqp-consume -q {queue} --json | { echo $$ >pid; until [ -e go ]; do sleep 0.01; done; }")
        .spawn();
    test.wait_for_file("pid");
    queue.has_consumers(1);
    let consumer = super::processes(&test)
        .into_iter()
        .find(|process| {
            let name = format!("/proc/{}/comm", process.as_raw_nonzero());
            std::fs::read_to_string(name).is_ok_and(|name| name == "amqp-consume\n")
        })
        .unwrap();
    eventually("a line that is being written", || {
        has_thread(consumer, "stdout")
    });
    rustix::process::kill_process(consumer, Signal::TERM).unwrap();
    queue.has_consumers(0);
    rustix::process::kill_process(consumer, Signal::TERM).unwrap();
    queue.holds(10);
    test.file("go", "");
    tool.succeeds();
}
