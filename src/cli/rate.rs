//! Rates on the command line: `10/s`, `5/m`, `100/h`, or a plain number a second.

use std::time::Duration;

/// Parses a rate, and says how long it is from one to the next.
///
/// # Errors
/// Says what a rate looks like.
pub(super) fn parse_rate(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expectation()),
    };
    let is_number = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = number.parse().map_err(|_| expectation())?;
    if !is_number || number <= 0.0 {
        return Err(expectation());
    }
    Duration::try_from_secs_f64(seconds / number).map_err(|_| expectation())
}

fn expectation() -> String {
    "expected a rate such as 10, 10/s, 5/m or 100/h".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_plain_numbers() {
        for (text, milliseconds) in [
            ("10", 100),
            ("10/s", 100),
            ("0.5", 2_000),
            ("30/m", 2_000),
            ("1/h", 3_600_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_rate(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "0", "-1", "/s", "1/", "1/d", "1 /s", "x", "inf", "1e3", "0.0/m",
        ] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
