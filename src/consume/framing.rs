//! How messages follow one another on one standard input.

use std::sync::Arc;

use super::options::Framing;
use super::process::conversation::Outgoing;
use crate::envelope;
use crate::message::Message;

/// Whether a body cannot be framed: whoever reads would take it for several.
pub(super) fn is_unfit(framing: Framing, body: &[u8]) -> bool {
    let text = body.strip_suffix(b"\n").unwrap_or(body);
    match framing {
        Framing::Json => false,
        Framing::Lines => text.contains(&b'\n'),
        Framing::Null => body.contains(&0),
    }
}

/// Puts a message behind those that are on their way. `message` is the message without its body.
pub(super) fn add(
    outgoing: &mut Outgoing,
    framing: Framing,
    message: &mut Message,
    body: &mut Arc<Vec<u8>>,
    redelivered: bool,
) {
    match framing {
        Framing::Json => {
            outgoing.add(envelope_line(message, body, redelivered).as_bytes());
            outgoing.add(b"\n");
        }
        Framing::Lines => {
            outgoing.add_shared(body);
            if !body.ends_with(b"\n") {
                outgoing.add(b"\n");
            }
        }
        Framing::Null => {
            outgoing.add_shared(body);
            outgoing.add(b"\0");
        }
    }
}

/// The body is lent to the message, not copied, unless a thread still writes it.
fn envelope_line(message: &mut Message, body: &mut Arc<Vec<u8>>, redelivered: bool) -> String {
    message.body = Arc::unwrap_or_clone(std::mem::take(body));
    let line = envelope::to_json_line(message, Some(redelivered));
    *body = Arc::new(std::mem::take(&mut message.body));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(framing: Framing, bodies: &[&str]) -> String {
        let mut outgoing = Outgoing::default();
        for body in bodies {
            let mut message = Message {
                routing_key: "q".to_owned(),
                ..Message::default()
            };
            let mut body = Arc::new(body.as_bytes().to_vec());
            let before = body.clone();
            add(&mut outgoing, framing, &mut message, &mut body, false);
            assert_eq!((body, message.body.len()), (before, 0));
        }
        String::from_utf8(outgoing.to_vec()).unwrap()
    }

    #[test]
    fn bodies_follow_one_another() {
        let long = "x".repeat(100_000);
        assert_eq!(
            framed(Framing::Lines, &["a", "b\n", "", &long, "c"]),
            format!("a\nb\n\n{long}\nc\n")
        );
        assert_eq!(framed(Framing::Null, &["a", "b\n", ""]), "a\0b\n\0\0");
        assert_eq!(
            framed(Framing::Json, &["a\n"]),
            "{\"body\":\"a\\n\",\"exchange\":\"\",\"routing_key\":\"q\",\"redelivered\":false}\n"
        );
    }

    #[test]
    fn what_would_be_taken_for_several_does_not_fit() {
        for (framing, body, expected) in [
            (Framing::Lines, "a\nb", true),
            (Framing::Lines, "a\n\n", true),
            (Framing::Lines, "a\n", false),
            (Framing::Lines, "a\0", false),
            (Framing::Lines, "", false),
            (Framing::Null, "a\nb", false),
            (Framing::Null, "a\0", true),
            (Framing::Json, "a\n\0", false),
        ] {
            assert_eq!(
                is_unfit(framing, body.as_bytes()),
                expected,
                "{framing:?} {body:?}"
            );
        }
    }
}
