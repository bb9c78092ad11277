//! What a server is that does not answer as an AMQP 0-9-1 broker does.

/// How much of an answer is shown.
const SHOWN: usize = 60;

/// Says what the server is, as far as the first bytes that it sent tell.
pub(super) fn describe(answer: &[u8]) -> String {
    match answer {
        // TLS records: an alert or a handshake message, version 3.x (RFC 8446, section 5.1).
        [0x15 | 0x16, 3, ..] => "the server there speaks TLS: use amqps:// or --ssl".to_owned(),
        [b'A', b'M', b'Q', b'P', _, major, minor, revision, ..] => format!(
            "the server there speaks another version of AMQP: {major}.{minor}.{revision}, not 0.9.1"
        ),
        [] => "the server there said nothing".to_owned(),
        _ => format!("not an AMQP server: it answered {}", quote(answer)),
    }
}

/// The first line, if it is text; else the first bytes.
fn quote(answer: &[u8]) -> String {
    let line = answer
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or(answer);
    let shown = &line[..line.len().min(SHOWN)];
    let is_text = !shown.is_empty() && shown.iter().all(|byte| (b' '..=b'~').contains(byte));
    if is_text {
        return format!("'{}'", String::from_utf8_lossy(shown));
    }
    let bytes: Vec<String> = answer
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("with the bytes {}", bytes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_known_by_their_first_bytes() {
        for (answer, said) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"[..],
                "'HTTP/1.1 400 Bad Request'",
            ),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "'SSH-2.0-OpenSSH_9.2'"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "amqps://"),
            (b"AMQP\x00\x01\x00\x00", "1.0.0"),
            (b"AMQP\x00\x00\x09\x01", "0.9.1"),
            (b"\r\n\x00", "0d 0a 00"),
            (b"\x1b[31m", "1b 5b 33"),
            (b"", "nothing"),
        ] {
            let text = describe(answer);
            assert!(text.contains(said), "{text}");
            assert!(
                text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{text}"
            );
        }
    }
}
