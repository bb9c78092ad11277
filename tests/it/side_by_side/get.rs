//! Rows for amqp-get.

use super::scenario::{script, table, with_messages, with_queue};

table! {
    get_short: with_messages(["a", "b"], "amqp-get -u {url} -q {queue}").same();
    get_short_attached: with_messages(["a", "b"], "amqp-get -u {url} -q{queue}").same();
    get_short_equals: with_messages(["a", "b"], "amqp-get -u {url} -q={queue}").same();
    get_long: with_messages(["a", "b"], "amqp-get -u {url} --queue {queue}").same();
    get_long_equals: with_messages(["a", "b"], "amqp-get -u {url} --queue={queue}").same();
    get_twice: with_messages(["a", "b"], "amqp-get -u {url} -q {queue}; amqp-get -u {url} -q {queue}").same();
    get_from_an_empty_queue: with_queue("amqp-get -u {url} -q {queue}").stderr_too().same();
    get_from_a_missing_queue: script("amqp-get -u {url} -q {queue}").stderr_too().same();
    get_an_empty_message: with_messages([""], "amqp-get -u {url} -q {queue}").same();
    get_adds_no_newline: with_messages(["a\n\nb\n"], "amqp-get -u {url} -q {queue}").same();
    get_binary: with_messages(["\0\u{1}\u{80}\r\n\0"], "amqp-get -u {url} -q {queue} | od -c").same();
    get_a_megabyte: with_queue(
        "head -c 1000000 /dev/zero | tr '\\0' x | amqp-publish -u {url} -r {queue}; amqp-get -u {url} -q {queue} | md5sum").same();
    get_without_a_queue: script("amqp-get -u {url}").stderr_too().same();
    get_empty_name: script("amqp-get -u {url} -q ''").stderr_too().same();
    get_two_queues: with_messages(["a"], "amqp-get -u {url} -q {other} -q {queue}").same();
    get_operand: with_messages(["a"], "amqp-get -u {url} -q {queue} {queue}").same();
    get_unknown_option: with_messages(["a"], "amqp-get -u {url} -q {queue} --bogus").same();
    get_queue_missing: script("amqp-get -u {url} --queue").same();
    get_help: script("amqp-get --help").any_stdout().same();
    get_usage: script("amqp-get --usage").any_stdout().same();
    /// The message is acknowledged once its body is written.
    get_with_stdout_full: with_messages(["a"], "amqp-get -u {url} -q {queue} >/dev/full").differs(
        "exit 1, complains; {queue} durable",
        r#"exit 1, complains; {queue} durable: "a""#,
    );
    /// So programs start others whose output they do not want.
    get_with_stdout_null_for_reading_too: with_messages(["a"], "amqp-get -u {url} -q {queue} 1<>/dev/null").same();
    /// The message is acknowledged once its body is written.
    get_with_stdout_closed: with_messages(["a"], "amqp-get -u {url} -q {queue} >&-").differs(
        "exit 1, complains; {queue} durable",
        r#"exit 1, complains; {queue} durable: "a""#,
    );
}
