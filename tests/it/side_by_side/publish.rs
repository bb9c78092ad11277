//! Rows for amqp-publish.

use super::scenario::{script, table, with_fanout, with_queue};

table! {
    publish_short: with_queue("amqp-publish -u {url} -r {queue} -b Hello").same();
    publish_short_attached: with_queue("amqp-publish -u {url} -r{queue} -bHello").same();
    publish_short_equals: with_queue("amqp-publish -u {url} -r={queue} -b=Hello").same();
    publish_long: with_queue("amqp-publish --url {url} --routing-key {queue} --body Hello").same();
    publish_long_equals: with_queue("amqp-publish --url={url} --routing-key={queue} --body=Hello").same();
    publish_persistent: with_queue("amqp-publish -u {url} -r {queue} -p -b Hello").same();
    publish_persistent_long: with_queue("amqp-publish -u {url} -r {queue} --persistent -b Hello").same();
    publish_persistent_clustered: with_queue("amqp-publish -u {url} -pr {queue} -b Hello").same();
    publish_persistent_clustered_attached: with_queue("amqp-publish -u {url} -pr{queue} -b Hello").same();
    publish_persistent_clustered_equals: with_queue("amqp-publish -u {url} -pr={queue} -b Hello").same();
    publish_flags_clustered: with_queue("printf 'a\\nb\\n' | amqp-publish -u {url} -plr {queue}").same();
    publish_content_type: with_queue("amqp-publish -u {url} -r {queue} -C text/plain -b a").same();
    publish_content_type_long: with_queue("amqp-publish -u {url} -r {queue} --content-type=text/plain -b a").same();
    publish_content_encoding: with_queue("amqp-publish -u {url} -r {queue} -E gzip -b a").same();
    publish_content_encoding_long: with_queue("amqp-publish -u {url} -r {queue} --content-encoding gzip -b a").same();
    publish_reply_to: with_queue("amqp-publish -u {url} -r {queue} -t {reply} -b a").same();
    publish_reply_to_long: with_queue("amqp-publish -u {url} -r {queue} --reply-to={reply} -b a").same();
    publish_all_properties: with_queue("amqp-publish -u {url} -r {queue} -p -C a/b -E c -t d -H 'e: f' -b a").same();
    publish_empty_content_type: with_queue("amqp-publish -u {url} -r {queue} -C '' -b a").same();
    publish_header: with_queue("amqp-publish -u {url} -r {queue} -H 'key: value' -b a").same();
    publish_header_long: with_queue("amqp-publish -u {url} -r {queue} --header='key: value' -b a").same();
    publish_header_attached: with_queue("amqp-publish -u {url} -r {queue} -H'key: value' -b a").same();
    publish_two_headers: with_queue("amqp-publish -u {url} -r {queue} -H 'k: v' -H 'l: w' -b a").same();
    /// Ours sends the last. The reference sends both; RabbitMQ 3 delivers both, of which a reader takes the last, and
    /// since 4.0 the first alone.
    publish_one_header_twice: with_queue("amqp-publish -u {url} -r {queue} -H 'k: v' -H 'k: w' -b a").differs(
        r#"exit 0; {queue} durable: "a" [mode 1, k=LongString("v")] or exit 0; {queue} durable: "a" [mode 1, k=LongString("w")]"#,
        r#"exit 0; {queue} durable: "a" [mode 1, k=LongString("w")]"#,
    );
    publish_header_without_space: with_queue("amqp-publish -u {url} -r {queue} -H key:value -b a").same();
    publish_header_with_spaces: with_queue("amqp-publish -u {url} -r {queue} -H ' key :  value ' -b a").same();
    publish_header_with_two_colons: with_queue("amqp-publish -u {url} -r {queue} -H 'k: v: w' -b a").same();
    publish_header_without_value: with_queue("amqp-publish -u {url} -r {queue} -H 'k:' -b a").same();
    publish_header_with_space_for_value: with_queue("amqp-publish -u {url} -r {queue} -H 'k: ' -b a").same();
    publish_header_without_key: with_queue("amqp-publish -u {url} -r {queue} -H ': v' -b a").same();
    publish_header_number: with_queue("amqp-publish -u {url} -r {queue} -H 'k: 7' -b a").same();
    publish_header_without_colon: with_queue("amqp-publish -u {url} -r {queue} -H key -b a").same();
    publish_empty_body: with_queue("amqp-publish -u {url} -r {queue} -b ''").same();
    publish_two_bodies: with_queue("amqp-publish -u {url} -r {queue} -b a -b b").same();
    publish_body_with_a_newline: with_queue("amqp-publish -u {url} -r {queue} -b 'a\nb\n'").same();
    publish_stdin: with_queue("amqp-publish -u {url} -r {queue}").stdin("Hello\nWorld\n").same();
    publish_empty_stdin: with_queue("amqp-publish -u {url} -r {queue}").same();
    publish_binary_stdin: with_queue("amqp-publish -u {url} -r {queue}").stdin(b"\0\x01\xff\r\n\0").same();
    publish_body_wins_over_stdin: with_queue("amqp-publish -u {url} -r {queue} -b a").stdin("b").same();
    publish_a_megabyte: with_queue("amqp-publish -u {url} -r {queue}").stdin("0123456789".repeat(100_000)).same();
    publish_lines: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("a\nb\nc\n").same();
    publish_lines_long: with_queue("amqp-publish -u {url} -r {queue} --line-buffered").stdin("a\nb\n").same();
    publish_lines_without_last_newline: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("a\nb").same();
    publish_lines_empty: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("a\n\n\nb\n").same();
    publish_lines_crlf: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("a\r\nb\r\n").same();
    publish_no_lines: with_queue("amqp-publish -u {url} -r {queue} -l").same();
    publish_lines_with_properties: with_queue("amqp-publish -u {url} -r {queue} -l -p -C text/plain -H 'k: v'").stdin("a\nb\n").same();
    /// A line is one message, however long.
    publish_long_line: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("0123456789".repeat(4000) + "\n").differs(
        "exit 0; {queue} durable: 32767 bytes [mode 1] 7234 bytes [mode 1]",
        "exit 0; {queue} durable: 40001 bytes [mode 1]",
    );
    /// Lines may hold any bytes.
    publish_line_with_nul: with_queue("amqp-publish -u {url} -r {queue} -l").stdin("a\0b\nc\n").differs(
        r#"exit 0; {queue} durable: "a" [mode 1] "c\n" [mode 1]"#,
        r#"exit 0; {queue} durable: "a\0b\n" [mode 1] "c\n" [mode 1]"#,
    );
    /// The reference publishes nothing and is content.
    publish_body_and_lines: with_queue("amqp-publish -u {url} -r {queue} -l -b a").stdin("b\n").differs(
        "exit 0; {queue} durable",
        "exit 1, complains; {queue} durable",
    );
    /// A message that no queue got is lost.
    publish_to_a_missing_queue: script("amqp-publish -u {url} -r {queue} -b a").differs(
        "exit 0",
        "exit 1, complains",
    );
    publish_to_an_exchange: with_fanout("amqp-publish -u {url} -e {exchange} -b a").same();
    publish_to_an_exchange_long: with_fanout("amqp-publish -u {url} --exchange={exchange} -b a").same();
    publish_to_an_exchange_attached: with_fanout("amqp-publish -u {url} -e{exchange} -b a").same();
    publish_to_an_exchange_with_key: with_fanout("amqp-publish -u {url} -e {exchange} -r key -b a").same();
    publish_to_an_exchange_with_empty_key: with_fanout("amqp-publish -u {url} -e {exchange} -r '' -b a").same();
    publish_to_the_default_exchange_by_name: with_queue("amqp-publish -u {url} -e '' -r {queue} -b a").same();
    publish_unroutable_to_an_exchange: script("amqp-publish -u {url} -e amq.direct -r {queue} -b a").same();
    publish_to_a_missing_exchange: script("amqp-publish -u {url} -e {exchange} -b a").same();
    publish_lines_to_a_missing_exchange: script("amqp-publish -u {url} -e {exchange} -l").stdin("a\nb\n").same();
    publish_nowhere: script("amqp-publish -u {url} -b a").stderr_too().same();
    /// A message that no queue got is lost.
    publish_to_an_empty_key_alone: script("amqp-publish -u {url} -r '' -b a").differs(
        "exit 0",
        "exit 1, complains",
    );
    publish_operand: with_queue("amqp-publish -u {url} -r {queue} -b a operand").same();
    publish_unknown_option: with_queue("amqp-publish -u {url} -r {queue} -b a --bogus").same();
    publish_body_missing: with_queue("amqp-publish -u {url} -r {queue} -b").same();
    publish_persistent_with_a_value: with_queue("amqp-publish -u {url} -r {queue} --persistent=yes -b a").same();
    publish_reads_no_stdin_on_usage_error: with_queue("{ amqp-publish -u {url} -l; cat; }").stdin("a\n").same();
    publish_help: script("amqp-publish --help").any_stdout().same();
    publish_usage: script("amqp-publish --usage").any_stdout().same();
    publish_option_looks_like_body: with_queue("amqp-publish -u {url} -r {queue} -b -p").same();
    publish_body_starts_with_equals: with_queue("amqp-publish -u {url} -r {queue} -b ==a").same();
    publish_body_is_equals: with_queue("amqp-publish -u {url} -r {queue} -b =").same();
    publish_long_body_starts_with_equals: with_queue("amqp-publish -u {url} -r {queue} --body==a").same();
}
