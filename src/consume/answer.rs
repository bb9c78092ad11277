//! What a child says about a message: a line with an exit status, or with JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use crate::status::Status;

/// How much of a line that is no answer is told.
const SHOWN: usize = 60;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) status: Status,
    pub(super) output: Vec<u8>,
}

/// Understands a line, which comes without its newline. If it is no answer, this says what it is.
pub(super) fn parse(line: &[u8]) -> Result<Parsed, String> {
    status(line)
        .or_else(|| object(line))
        .ok_or_else(|| format!("'{}'", shown(line)))
}

fn status(line: &[u8]) -> Option<Parsed> {
    if line.is_empty() || !line.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = str::from_utf8(line).ok()?.parse().ok()?;
    Some(Parsed {
        status: Status::exited(code),
        output: Vec::new(),
    })
}

fn object(line: &[u8]) -> Option<Parsed> {
    let mut object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let status = object.remove("status")?.as_u64()?;
    let (text, base64) = (object.remove("output"), object.remove("output_base64"));
    let output = match (text, base64) {
        (Some(Value::String(text)), None) => text.into_bytes(),
        (None, Some(Value::String(text))) => BASE64.decode(text).ok()?,
        (None, None) => Vec::new(),
        _ => return None,
    };
    let is_all = object.is_empty();
    let status = u8::try_from(status).ok().filter(|_| is_all)?;
    Some(Parsed {
        status: Status::exited(status),
        output,
    })
}

/// The beginning of the line, as text without control characters.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(u8, String)> {
        let parsed = parse(line.as_bytes()).ok()?;
        let output = String::from_utf8(parsed.output).unwrap();
        Some((parsed.status.code(), output))
    }

    #[test]
    fn a_line_is_a_status_or_an_object() {
        for (line, status, output) in [
            ("0", 0, ""),
            ("255", 255, ""),
            ("007", 7, ""),
            (r#"{"status":3}"#, 3, ""),
            (r#" {"status": 0, "output": "a\nb"} "#, 0, "a\nb"),
            (r#"{"output_base64":"aGk=","status":0}"#, 0, "hi"),
        ] {
            assert_eq!(parsed(line), Some((status, output.to_owned())), "{line}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for line in [
            "",
            "256",
            "-1",
            "+1",
            "0 ",
            "ok",
            "1.0",
            "{}",
            r#"{"status":256}"#,
            r#"{"status":"0"}"#,
            r#"{"status":0,"body":""}"#,
            r#"{"status":0,"output":"a","output_base64":"YQ=="}"#,
            r#"{"status":0,"output_base64":"?"}"#,
            r#"{"status":0} {"status":0}"#,
            "[0]",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
        assert_eq!(parse(b"done\x1b").unwrap_err(), "'done '");
        let long = "x".repeat(100);
        assert_eq!(
            parse(long.as_bytes()).unwrap_err().chars().count(),
            SHOWN + 3
        );
    }
}
