//! Rows for the connection's flags, which are common to all five.

use super::scenario::{script, table, with_messages};

table! {
    url_short: with_messages(["a"], "amqp-get -u {url} -q {queue}").same();
    url_attached: with_messages(["a"], "amqp-get -u{url} -q {queue}").same();
    url_short_equals: with_messages(["a"], "amqp-get -u={url} -q {queue}").same();
    url_long: with_messages(["a"], "amqp-get --url {url} -q {queue}").same();
    url_long_equals: with_messages(["a"], "amqp-get --url={url} -q {queue}").same();
    url_without_user: with_messages(["a"], "amqp-get -u amqp://{host}:{port} -q {queue}").same();
    url_with_vhost: with_messages(["a"], "amqp-get -u {url}/%2f -q {queue}").same();
    /// The reference sends an empty vhost, which no broker has.
    url_with_slash: with_messages(["a"], "amqp-get -u {url}/ -q {queue}").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );
    url_percent_encoded: with_messages(["a"], "amqp-get -u amqp://%67uest:gues%74@{host}:{port} -q {queue}").same();
    url_with_unknown_vhost: with_messages(["a"], "amqp-get -u {url}/nowhere -q {queue}").stderr_too().same();
    url_with_wrong_password: with_messages(["a"], "amqp-get -u amqp://guest:wrong@{host}:{port} -q {queue}").stderr_too().same();
    url_with_wrong_user: with_messages(["a"], "amqp-get -u amqp://nobody:guest@{host}:{port} -q {queue}").stderr_too().same();
    url_twice: with_messages(["a"], "amqp-get -u amqp://{host}:1 -u {url} -q {queue}").same();
    url_of_another_scheme: with_messages(["a"], "amqp-get -u http://{host}:{port} -q {queue}").same();
    url_garbage: with_messages(["a"], "amqp-get -u garbage -q {queue}").same();
    url_empty: with_messages(["a"], "amqp-get -u '' -q {queue}").same();
    url_with_port_garbage: with_messages(["a"], "amqp-get -u amqp://{host}:x -q {queue}").same();
    url_with_port_too_large: with_messages(["a"], "amqp-get -u amqp://{host}:70000 -q {queue}").same();
    url_with_extra_path: with_messages(["a"], "amqp-get -u {url}/a/b -q {queue}").same();
    /// The reference knows no parameters.
    url_with_heartbeat: with_messages(["a"], "amqp-get -u '{url}/%2f?heartbeat=10' -q {queue}").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );
    url_missing: with_messages(["a"], "amqp-get -q {queue} -u").same();
    url_refused: with_messages(["a"], "amqp-get -u amqp://127.0.0.1:1 -q {queue}").same();
    url_of_an_unknown_host: with_messages(["a"], "amqp-get -u amqp://no-such-host.invalid -q {queue}").same();
    url_with_server: with_messages(["a"], "amqp-get -u {url} -s {host} -q {queue}").stderr_too().same();
    url_with_port: with_messages(["a"], "amqp-get -u {url} --port {port} -q {queue}").stderr_too().same();
    url_with_vhost_flag: with_messages(["a"], "amqp-get -u {url} --vhost / -q {queue}").stderr_too().same();
    url_with_username: with_messages(["a"], "amqp-get -u {url} --username guest -q {queue}").stderr_too().same();
    url_with_password: with_messages(["a"], "amqp-get -u {url} --password guest -q {queue}").stderr_too().same();
    url_with_heartbeat_flag: with_messages(["a"], "amqp-get -u {url} --heartbeat 10 -q {queue}").same();
    url_with_authfile: with_messages(["a"], "amqp-get -u {url} --authfile auth -q {queue}").file("auth", "username:guest\npassword:guest\n").stderr_too().same();
    /// A Secret can hold the credentials, and another object the rest.
    url_without_user_with_authfile: with_messages(["a"], "amqp-get -u amqp://{host}:{port} --authfile auth -q {queue}").file("auth", "username:guest\npassword:guest\n").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );

    /// Ours reads the variable, as 0.18 does.
    url_of_the_environment: with_messages(["a"], "AMQP_URL={url} amqp-get -q {queue}").depends_on_release(
        r#"exit 0, prints "a"; {queue} durable"#,
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );
    /// A variable that is set to nothing counts as one that is not set.
    url_of_the_environment_empty: with_messages(["a"], "AMQP_URL= amqp-get -q {queue} --vhost nowhere").same();
    url_wins_over_the_environment: with_messages(["a"], "AMQP_URL=garbage amqp-get -u {url} -q {queue}").same();
    server_wins_over_the_environment: with_messages(["a"], "AMQP_URL=garbage amqp-get -s {host} --port {port} -q {queue}").same();
    /// Ours knows the flag, as 0.18 does, and warns where no TLS comes into play.
    no_default_cert_paths_without_tls: with_messages(["a"], "amqp-get -u {url} --no-default-cert-paths -q {queue}").depends_on_release(
        r#"exit 0, prints "a"; {queue} durable"#,
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a", complains; {queue} durable"#,
    );

    server_and_port: with_messages(["a"], "amqp-get -s {host} --port {port} -q {queue}").same();
    server_attached: with_messages(["a"], "amqp-get -s{host} --port={port} -q {queue}").same();
    server_equals: with_messages(["a"], "amqp-get -s={host} --port={port} -q {queue}").same();
    server_long: with_messages(["a"], "amqp-get --server {host} --port {port} -q {queue}").same();
    server_long_equals: with_messages(["a"], "amqp-get --server={host} --port={port} -q {queue}").same();
    server_with_port_in_it: with_messages(["a"], "amqp-get -s {host}:{port} -q {queue}").stderr_too().same();
    server_with_port_in_it_and_port: with_messages(["a"], "amqp-get -s {host}:{port} --port {port} -q {queue}").same();
    server_unknown: with_messages(["a"], "amqp-get -s no-such-host.invalid -q {queue}").same();
    server_refuses: with_messages(["a"], "amqp-get -s 127.0.0.1 --port 1 -q {queue}").same();
    port_not_a_number: with_messages(["a"], "amqp-get -s {host} --port x -q {queue}").same();
    port_too_large: with_messages(["a"], "amqp-get -s {host} --port 70000 -q {queue}").same();
    vhost: with_messages(["a"], "amqp-get -s {host} --port {port} --vhost / -q {queue}").same();
    vhost_equals: with_messages(["a"], "amqp-get -s {host} --port {port} --vhost=/ -q {queue}").same();
    vhost_unknown: with_messages(["a"], "amqp-get -s {host} --port {port} --vhost nowhere -q {queue}").stderr_too().same();
    vhost_is_not_percent_decoded: with_messages(["a"], "amqp-get -s {host} --port {port} --vhost %2f -q {queue}").stderr_too().same();
    credentials: with_messages(["a"], "amqp-get -s {host} --port {port} --username guest --password guest -q {queue}").same();
    credentials_equals: with_messages(["a"], "amqp-get -s {host} --port {port} --username=guest --password=guest -q {queue}").same();
    credentials_wrong: with_messages(["a"], "amqp-get -s {host} --port {port} --username guest --password wrong -q {queue}").stderr_too().same();
    username_alone: with_messages(["a"], "amqp-get -s {host} --port {port} --username guest -q {queue}").same();
    heartbeat: with_messages(["a"], "amqp-get -s {host} --port {port} --heartbeat 10 -q {queue}").same();
    heartbeat_off: with_messages(["a"], "amqp-get -s {host} --port {port} --heartbeat=0 -q {queue}").same();
    heartbeat_garbage: with_messages(["a"], "amqp-get -s {host} --port {port} --heartbeat x -q {queue}").same();
    heartbeat_negative: with_messages(["a"], "amqp-get -s {host} --port {port} --heartbeat -1 -q {queue}").same();
    authfile: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username:guest\npassword:guest\n").same();
    /// The reference takes the password for too long then.
    authfile_without_last_newline: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile=auth -q {queue}").file("auth", "username:guest\npassword:guest").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );
    authfile_wrong_password: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username:guest\npassword:wrong\n").stderr_too().same();
    authfile_other_order: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "password:guest\nusername:guest\n").same();
    authfile_with_more: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username:guest\npassword:guest\nmore\n").same();
    authfile_with_username_alone: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username:guest\n").same();
    authfile_empty: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "").same();
    authfile_with_spaces: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username: guest\npassword: guest\n").same();
    /// Lines may end as Windows ends them.
    authfile_crlf: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").file("auth", "username:guest\r\npassword:guest\r\n").differs(
        r#"exit 1, complains; {queue} durable: "a""#,
        r#"exit 0, prints "a"; {queue} durable"#,
    );
    authfile_missing: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth -q {queue}").same();
    authfile_with_username: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth --username guest -q {queue}").file("auth", "username:guest\npassword:guest\n").same();
    authfile_with_password: with_messages(["a"], "amqp-get -s {host} --port {port} --authfile auth --password guest -q {queue}").file("auth", "username:guest\npassword:guest\n").same();
    every_tool_takes_server_and_port: script(
        "C='-s {host} --port {port} --vhost / --username guest --password guest'; amqp-declare-queue $C -q {queue} -d && amqp-publish $C -r {queue} -b a && amqp-get $C -q {queue} && amqp-publish $C -r {queue} -b b && amqp-consume $C -q {queue} -c 1 cat && amqp-delete-queue $C -q {queue}").same();
}
