//! Rows for amqp-consume.

use super::scenario::{script, table, with_fanout, with_messages, with_queue};

table! {
    consume_one: with_messages(["a", "b"], "amqp-consume -u {url} -q {queue} -c 1 cat").same();
    consume_attached: with_messages(["a", "b"], "amqp-consume -u {url} -q{queue} -c1 cat").same();
    consume_equals: with_messages(["a", "b"], "amqp-consume -u {url} -q={queue} -c=1 cat").same();
    consume_long: with_messages(["a", "b"], "amqp-consume --url {url} --queue {queue} --count 1 cat").same();
    consume_long_equals: with_messages(["a", "b"], "amqp-consume --url={url} --queue={queue} --count=1 cat").same();
    consume_all_in_order: with_messages(["a", "b", "c"], "amqp-consume -u {url} -q {queue} -c 3 cat").same();
    consume_two_of_three: with_messages(["a", "b", "c"], "amqp-consume -u {url} -q {queue} -c 2 cat").same();
    consume_none: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 0 cat").same();
    consume_no_ack: with_messages(["a"], "amqp-consume -u {url} -q {queue} -A -c 1 cat").same();
    consume_no_ack_long: with_messages(["a"], "amqp-consume -u {url} -q {queue} --no-ack -c 1 cat").same();
    consume_no_ack_clustered: with_messages(["a"], "amqp-consume -u {url} -Aq {queue} -c 1 cat").same();
    consume_no_ack_clustered_attached: with_messages(["a"], "amqp-consume -u {url} -Aq{queue} -c 1 cat").same();
    /// What no command was run for stays in the queue.
    consume_no_ack_one_of_three: with_messages(["a", "b", "c"], "amqp-consume -u {url} -q {queue} -A -c 1 cat").differs(
        r#"exit 0, prints "a"; {queue} durable"#,
        r#"exit 0, prints "a"; {queue} durable: "b" "c""#,
    );
    consume_prefetch: with_messages(["a", "b", "c"], "amqp-consume -u {url} -q {queue} -p 1 -c 2 cat").same();
    consume_prefetch_attached: with_messages(["a", "b"], "amqp-consume -u {url} -q {queue} -p1 -c 1 cat").same();
    consume_prefetch_long: with_messages(["a", "b"], "amqp-consume -u {url} -q {queue} --prefetch-count=10 -c 1 cat").same();
    consume_prefetch_zero: with_messages(["a", "b"], "amqp-consume -u {url} -q {queue} -p 0 -c 1 cat").same();
    consume_prefetch_negative: with_messages(["a"], "amqp-consume -u {url} -q {queue} -p -1 -c 1 cat").same();
    consume_prefetch_too_large: with_messages(["a"], "amqp-consume -u {url} -q {queue} -p 65536 -c 1 cat").same();
    consume_prefetch_not_a_number: with_messages(["a"], "amqp-consume -u {url} -q {queue} -p x -c 1 cat").same();
    consume_count_not_a_number: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c x cat").same();
    consume_hexadecimal_count: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 0x1 cat").same();
    consume_without_limit: with_messages(["a", "b"],
        "amqp-consume -u {url} -q {queue} -c -1 -- sh -c 'cat >>out' & until [ \"$(cat out)\" = ab ]; do :; done; kill -9 $!; amqp-delete-queue -u {url} -q {queue} >/dev/null").same();
    consume_empty_message: with_messages([""], "amqp-consume -u {url} -q {queue} -c 1 -- wc -c").same();
    consume_binary: with_messages(["\0\u{80}\r\n"], "amqp-consume -u {url} -q {queue} -c 1 -- od -c").same();
    consume_a_megabyte: with_queue(
        "head -c 1000000 /dev/zero | amqp-publish -u {url} -r {queue}; amqp-consume -u {url} -q {queue} -c 1 md5sum").same();
    consume_with_arguments: with_messages(["a"],
        "echo b >'two  three'; amqp-consume -u {url} -q {queue} -c 1 cat - 'two  three'").same();
    consume_with_options_after_two_dashes: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 -- sh -c 'cat; echo b'").same();
    /// Options end at the command.
    consume_with_options: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 sh -c 'cat; echo b'").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "ab\n"; {queue} durable"#,
    );

    consume_command_by_path: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 /bin/cat").same();
    consume_command_here: with_messages(["a"], "ln -s /bin/cat mycat; amqp-consume -u {url} -q {queue} -c 1 ./mycat").same();
    consume_command_complains: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 -- sh -c 'cat >&2'").stderr_too().same();
    consume_with_stdin: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 cat").stdin("b").same();
    /// The status is the command's. (The reference may die of SIGPIPE.)
    consume_failing: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 false").differs(
        r#"exit 0; {queue} durable: "a" or exit 141; {queue} durable: "a""#,
        r#"exit 1, complains; {queue} durable: "a""#,
    );
    /// The status is the command's.
    consume_failing_with_status: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 -- sh -c 'cat >/dev/null; exit 7'").differs(
        r#"exit 0; {queue} durable: "a""#,
        r#"exit 7, complains; {queue} durable: "a""#,
    );
    /// The status is the first failing command's.
    consume_failing_first_of_two: with_messages(["a", "b"],
        "amqp-consume -u {url} -q {queue} -c 2 -- sh -c 'read -r x; echo $x; [ $x = b ]'").differs(
        r#"exit 0, prints "a\nb\n"; {queue} durable: "a""#,
        r#"exit 1, prints "a\nb\n", complains; {queue} durable: "a""#,
    );
    /// The status is the command's.
    consume_failing_without_ack: with_messages(["a"],
        "amqp-consume -u {url} -q {queue} -A -c 1 -- sh -c 'cat >/dev/null; exit 7'").differs(
        "exit 0; {queue} durable",
        "exit 7, complains; {queue} durable",
    );
    /// The status is 128 and the signal's number.
    consume_killed_command: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 -- sh -c 'cat >/dev/null; kill -9 $$'").differs(
        r#"exit 0; {queue} durable: "a""#,
        r#"exit 137, complains; {queue} durable: "a""#,
    );
    /// As the shell says it.
    consume_missing_command: with_messages(["a"], "amqp-consume -u {url} -q {queue} -c 1 ./missing").differs(
        r#"exit 1, complains; {queue} durable: "a" or exit 141, complains; {queue} durable: "a""#,
        r#"exit 127, complains; {queue} durable: "a""#,
    );
    /// As the shell says it.
    consume_command_not_executable: with_messages(["a"], "echo >file; amqp-consume -u {url} -q {queue} -c 1 ./file").differs(
        r#"exit 1, complains; {queue} durable: "a" or exit 141, complains; {queue} durable: "a""#,
        r#"exit 126, complains; {queue} durable: "a""#,
    );
    /// A command need not read its stdin. (The reference dies of SIGPIPE.)
    consume_unread_megabyte: with_queue(
        "head -c 1000000 /dev/zero | amqp-publish -u {url} -r {queue}; amqp-consume -u {url} -q {queue} -c 1 true").differs(
        "exit 141; {queue} durable: 1000000 bytes [mode 1]",
        "exit 0; {queue} durable",
    );
    /// The broker cancels the consumer then. (The reference waits for ever.)
    consume_from_a_queue_that_is_deleted: with_messages(["a"],
        "amqp-consume -u {url} -q {queue} -c 2 -- sh -c 'cat; amqp-delete-queue -u {url} -q {queue} >/dev/null'").differs(
        "hangs",
        r#"exit 1, prints "a", complains"#,
    );
    /// A failed message uses up no prefetch. (The reference gets no more.)
    consume_behind_a_failed_message: with_messages(["bad", "good"],
        "amqp-consume -u {url} -q {queue} -p 1 -c 2 -- sh -c 'read -r x; echo $x; [ $x = good ]'").differs(
        "hangs",
        r#"exit 1, prints "bad\ngood\n", complains; {queue} durable: "bad""#,
    );
    consume_without_command: with_queue("amqp-consume -u {url} -q {queue}").stderr_too().same();
    consume_without_command_after_two_dashes: with_queue("amqp-consume -u {url} -q {queue} --").stderr_too().same();
    consume_from_a_missing_queue: script("amqp-consume -u {url} -q {queue} -c 1 cat").stderr_too().same();
    consume_unknown_option: with_queue("amqp-consume -u {url} -q {queue} --bogus cat").same();
    consume_routing_key_without_exchange: with_queue("amqp-consume -u {url} -q {queue} -r k cat").stderr_too().same();
    consume_queue_missing: script("amqp-consume -u {url} -c 1 -q").same();
    consume_help: script("amqp-consume --help").any_stdout().same();
    consume_usage: script("amqp-consume --usage").any_stdout().same();

    consume_none_of_an_own_queue: script("amqp-consume -u {url} -q {queue} -d -c 0 cat").same();
    consume_none_of_an_exclusive_queue: script("amqp-consume -u {url} -q {queue} -x -c 0 cat").same();
    consume_none_of_a_server_named_queue: script("amqp-consume -u {url} -e amq.direct -r {key} -c 0 cat").same();
    consume_a_hexadecimal_number: with_messages(["a", "b", "c"], "amqp-consume -u {url} -q {queue} -c 0x2 -p 010 --heartbeat 0x10 cat").same();
    consume_exclusive: script("amqp-consume -u {url} -q {queue} -x -c 1 cat").then_arrives("a").same();
    consume_exclusive_long: script("amqp-consume -u {url} -q {queue} --exclusive -c 1 cat").then_arrives("a").same();
    consume_declared: script("amqp-consume -u {url} -q {queue} -d -c 1 cat").then_arrives("a").same();
    consume_declared_long: script("amqp-consume -u {url} -q {queue} --declare -c 1 cat").then_arrives("a").same();
    consume_exclusive_but_there: with_queue("amqp-consume -u {url} -q {queue} -x -c 1 cat").stderr_too().same();
    consume_declared_but_there: with_queue("amqp-consume -u {url} -q {queue} -d -c 1 cat").stderr_too().same();
    consume_bound: script("amqp-consume -u {url} -q {queue} -e amq.direct -r {key} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").same();
    consume_bound_long: script("amqp-consume -u {url} -q {queue} --exchange=amq.direct --routing-key={key} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").same();
    consume_bound_exclusive: script("amqp-consume -u {url} -q {queue} -x -e amq.direct -r {key} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").same();
    consume_bound_to_the_first_key: script("amqp-consume -u {url} -q {queue} -e amq.direct -r {key},{other} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").same();
    consume_bound_to_the_second_key: script("amqp-consume -u {url} -q {queue} -e amq.direct -r {key},{other} -c 1 cat")
        .then_is_published("amq.direct", "{other}", "a").same();
    consume_bound_to_a_topic: script("amqp-consume -u {url} -q {queue} -e amq.topic -r '{key}.#' -c 1 cat")
        .then_is_published("amq.topic", "{key}.a.b", "a").same();
    /// The reference crashes.
    consume_bound_without_key: script("amqp-consume -u {url} -q {queue} -e amq.direct -c 1 cat")
        .then_is_published("amq.direct", "", "a").differs(
        "exit 139, complains; {queue} auto-delete",
        r#"exit 0, prints "a", meanwhile auto-delete"#,
    );
    consume_server_named_bound: script("amqp-consume -u {url} -e amq.direct -r {key} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").stderr_too().same();
    consume_server_named_exclusive: script("amqp-consume -u {url} -x -e amq.direct -r {key} -c 1 cat")
        .then_is_published("amq.direct", "{key}", "a").stderr_too().same();
    consume_bound_to_a_missing_exchange: script("amqp-consume -u {url} -q {queue} -e {exchange} -r k -c 1 cat").stderr_too().same();
    consume_bound_existing_queue: with_fanout("amqp-consume -u {url} -q {queue} -e {exchange} -r k -c 1 cat").stderr_too().same();
}
