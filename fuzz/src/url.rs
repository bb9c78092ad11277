//! URLs, alone and in lists: whatever the text, an answer, and no part of the credentials in an error.

use amqp_tools::cli::url::{parse, split_list};

pub fn check(input: &[u8]) {
    let text = super::text(input);
    for url in split_list(text) {
        let _ = parse(url);
    }
    if !text.contains(['/', '?', '@', '%']) {
        is_a_password(text);
    }
}

fn is_a_password(text: &str) {
    let url = parse(&format!("amqp://name:{text}@host:1/v?heartbeat=1")).unwrap();
    assert_eq!(url.credentials.unwrap().password, text);
    assert_eq!(url.host.as_deref(), Some("host"));

    // Long and strange enough not to be in an error by chance.
    let password = format!("\u{1}{text}\u{2}");
    for broken in [
        "host:port",
        "host:99999",
        "[host",
        "host/a/b",
        "host?heartbeat=x",
        "%zz@host",
    ] {
        let error = parse(&format!("amqp://name:{password}@{broken}")).unwrap_err();
        assert!(!error.to_string().contains(&password));
    }
}
