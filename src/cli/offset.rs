//! Where the reading of a stream begins, on the command line: `first`, `last`, `next`, `12`, `2026-01-31T12:00:00Z`, `10m`.

use std::ffi::OsStr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::duration::parse_duration;
use crate::consume::StreamOffset;

const WORDS: [(&str, StreamOffset); 3] = [
    ("first", StreamOffset::First),
    ("last", StreamOffset::Last),
    ("next", StreamOffset::Next),
];

/// Takes an offset. It names the words, for completions.
#[derive(Clone)]
pub(super) struct OffsetParser;

impl TypedValueParser for OffsetParser {
    type Value = StreamOffset;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<StreamOffset, clap::Error> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since_1970.unwrap_or_default().as_secs();
        let parse = move |text: &str| parse_offset(text, now);
        parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = WORDS.iter().map(|(word, _)| *word);
        Some(Box::new(words.map(PossibleValue::new)))
    }
}

/// `now`: the time in seconds since 1970, for durations.
fn parse_offset(text: &str, now: u64) -> Result<StreamOffset, String> {
    if let Some((_, offset)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*offset);
    }
    let offset = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse().ok();
        number
            .filter(|number| i64::try_from(*number).is_ok())
            .map(StreamOffset::Number)
    } else if text.contains(':') {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok();
        let seconds = time.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        seconds.map(StreamOffset::Since)
    } else if text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        let ago = parse_duration(text).ok();
        let seconds = ago.map(|ago| {
            ago.as_secs()
                .saturating_add(u64::from(ago.subsec_nanos() > 0))
        });
        seconds.map(|seconds| StreamOffset::Since(now.saturating_sub(seconds)))
    } else {
        None
    };
    offset.ok_or_else(|| {
        "expected first, last, next, a number, a time such as 2026-01-31T12:00:00Z, or a duration such as 10m"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_times_and_durations() {
        for (text, expected) in [
            ("first", StreamOffset::First),
            ("last", StreamOffset::Last),
            ("next", StreamOffset::Next),
            ("0", StreamOffset::Number(0)),
            ("12", StreamOffset::Number(12)),
            ("9223372036854775807", StreamOffset::Number(i64::MAX as u64)),
            ("1970-01-01T00:01:00Z", StreamOffset::Since(60)),
            ("2026-01-31T12:00:00Z", StreamOffset::Since(1_769_860_800)),
            (
                "2026-01-31T13:00:00.9+01:00",
                StreamOffset::Since(1_769_860_800),
            ),
            ("10m", StreamOffset::Since(9_400)),
            ("1.5s", StreamOffset::Since(9_998)),
            ("500ms", StreamOffset::Since(9_999)),
            ("9h", StreamOffset::Since(0)),
        ] {
            assert_eq!(parse_offset(text, 10_000), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "-1",
            "1.5",
            "First",
            "9223372036854775808",
            "10 m",
            "10d",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-31T12:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(parse_offset(text, 10_000).is_err(), "{text}");
        }
    }
}
