//! amqp-declare-queue and amqp-delete-queue.

use crate::support::Test;

#[test]
fn a_declared_queue_is_there_and_its_name_is_printed() {
    let test = Test::new();
    test.run("amqp-declare-queue -q {queue} -d")
        .stdout("{queue}\n")
        .succeeds();
    assert_eq!(test.queue("queue").depth(), 0);
}

#[test]
fn deleting_prints_how_many_messages_were_in_the_queue() {
    let test = Test::new();
    test.queue("queue").declare().publish(["a", "b", "c"]);
    test.run("amqp-delete-queue -q {queue}")
        .stdout("3\n")
        .succeeds();
    assert!(!test.queue("queue").exists());
}
