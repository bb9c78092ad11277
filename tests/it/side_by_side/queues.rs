//! Rows for amqp-declare-queue and amqp-delete-queue.

use super::scenario::{script, table, with_consumer, with_messages, with_queue};

table! {
    declare_short: script("amqp-declare-queue -u {url} -q {queue}").same();
    declare_short_attached: script("amqp-declare-queue -u {url} -q{queue}").same();
    declare_short_equals: script("amqp-declare-queue -u {url} -q={queue}").same();
    declare_long: script("amqp-declare-queue -u {url} --queue {queue}").same();
    declare_long_equals: script("amqp-declare-queue -u {url} --queue={queue}").same();
    declare_durable: script("amqp-declare-queue -u {url} -q {queue} -d").same();
    declare_durable_long: script("amqp-declare-queue -u {url} -q {queue} --durable").same();
    declare_durable_clustered: script("amqp-declare-queue -u {url} -dq {queue}").same();
    declare_durable_clustered_attached: script("amqp-declare-queue -u {url} -dq{queue}").same();
    declare_durable_clustered_equals: script("amqp-declare-queue -u {url} -dq={queue}").same();
    declare_durable_twice_given: script("amqp-declare-queue -u {url} -d -d -q {queue}").same();
    declare_again: with_queue("amqp-declare-queue -u {url} -q {queue} -d").same();
    declare_another_way: with_queue("amqp-declare-queue -u {url} -q {queue}").stderr_too().same();
    declare_with_messages_in_it: with_messages(["a", "b"], "amqp-declare-queue -u {url} -q {queue} -d").same();
    declare_server_named: script("amqp-declare-queue -u {url} -q ''").same();
    declare_server_named_equals: script("amqp-declare-queue -u {url} --queue=").same();
    declare_server_named_durable: script("amqp-declare-queue -u {url} -d -q ''").same();
    declare_without_a_name: script("amqp-declare-queue -u {url}").stderr_too().same();
    declare_reserved_name: script("amqp-declare-queue -u {url} -q amq.it").stderr_too().same();
    declare_two_names: script("amqp-declare-queue -u {url} -q {queue} -q {other}").same();
    declare_name_with_spaces: script(
        "amqp-declare-queue -u {url} -q '{queue} ü' && amqp-delete-queue -u {url} -q '{queue} ü'").same();
    declare_name_too_long: script("amqp-declare-queue -u {url} -q $(printf %0256d 1)").same();
    /// Operands are names of queues.
    declare_operand: script("amqp-declare-queue -u {url} {queue}").differs(
        "exit 1, complains",
        r#"exit 0, prints "{queue}\n"; {queue} transient"#,
    );
    declare_options_end: script("amqp-declare-queue -u {url} -q {queue} --").same();
    /// The tutorial's readers paste it.
    declare_name_twice: script("amqp-declare-queue -u {url} -q {queue} -d {queue}").differs(
        "exit 1, complains",
        r#"exit 0, prints "{queue}\n"; {queue} durable"#,
    );
    declare_unknown_option: script("amqp-declare-queue -u {url} -q {queue} --bogus").same();
    declare_unknown_short_option: script("amqp-declare-queue -u {url} -q {queue} -Z").same();
    declare_abbreviated_option: script("amqp-declare-queue -u {url} --que {queue}").same();
    declare_name_missing: script("amqp-declare-queue -u {url} -q").same();
    declare_long_name_missing: script("amqp-declare-queue -u {url} --queue").same();
    declare_durable_with_a_value: script("amqp-declare-queue -u {url} -q {queue} --durable=yes").same();
    declare_help: script("amqp-declare-queue --help").any_stdout().same();
    declare_help_short: script("amqp-declare-queue '-?'").any_stdout().same();
    declare_usage: script("amqp-declare-queue --usage").any_stdout().same();
    /// Help is given whatever else is wrong.
    declare_help_behind_an_error: script("amqp-declare-queue --bogus --help").any_stdout().differs(
        "exit 1, complains",
        "exit 0, prints",
    );
    declare_help_last: script("amqp-declare-queue --help --bogus").any_stdout().same();

    delete_short: with_queue("amqp-delete-queue -u {url} -q {queue}").same();
    delete_short_attached: with_queue("amqp-delete-queue -u {url} -q{queue}").same();
    delete_short_equals: with_queue("amqp-delete-queue -u {url} -q={queue}").same();
    delete_long: with_queue("amqp-delete-queue -u {url} --queue {queue}").same();
    delete_long_equals: with_queue("amqp-delete-queue -u {url} --queue={queue}").same();
    delete_counts_messages: with_messages(["a", "b", "c"], "amqp-delete-queue -u {url} -q {queue}").same();
    delete_missing: script("amqp-delete-queue -u {url} -q {queue}").same();
    delete_without_a_name: script("amqp-delete-queue -u {url}").stderr_too().same();
    delete_empty_name: script("amqp-delete-queue -u {url} -q ''").same();
    delete_if_empty: with_queue("amqp-delete-queue -u {url} -q {queue} -e").same();
    delete_if_empty_long: with_queue("amqp-delete-queue -u {url} -q {queue} --if-empty").same();
    delete_if_empty_clustered: with_queue("amqp-delete-queue -u {url} -eq {queue}").same();
    delete_if_empty_but_full: with_messages(["a"], "amqp-delete-queue -u {url} -q {queue} -e").stderr_too().same();
    delete_if_unused: with_queue("amqp-delete-queue -u {url} -q {queue} --if-unused").same();
    delete_if_unused_but_used: with_consumer("amqp-delete-queue -u {url} -q {queue} --if-unused").stderr_too().same();
    delete_though_used: with_consumer("amqp-delete-queue -u {url} -q {queue}").same();
    delete_if_both: with_messages(["a"], "amqp-delete-queue -u {url} -q {queue} -e --if-unused").stderr_too().same();
    /// Operands are names of queues.
    delete_operand: with_queue("amqp-delete-queue -u {url} {queue}").differs(
        "exit 1, complains; {queue} durable",
        r#"exit 0, prints "0\n""#,
    );
    delete_unknown_option: with_queue("amqp-delete-queue -u {url} -q {queue} --bogus").same();
    delete_help: script("amqp-delete-queue --help").any_stdout().same();
}
