//! Durations on the command line: `500ms`, `30s`, `5m`, `1h`, or plain seconds.

use std::time::Duration;

/// Parses a duration; fractions of a unit are fine (`1.5s`).
///
/// # Errors
/// Says what a duration looks like.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let number_length = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_length);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(expectation()),
    };
    let number: f64 = number.parse().map_err(|_| expectation())?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| expectation())
}

fn expectation() -> String {
    "expected a duration such as 500ms, 30s, 5m or 1h".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_plain_seconds() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30", 30_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("0s", 0),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "s", "-1s", "1d", "1 s", "1s5", "1..5s", "ms", "1e400", "∞",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
