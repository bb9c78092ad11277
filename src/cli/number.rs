//! Whole numbers as amqp-tools takes them, which leaves them to C's `strtoll`: `0x10` is 16, `010` is 8, and nothing is 0.

/// Parses a number, as popt does for an int.
pub(super) fn parse_integer(text: &str) -> Result<i64, String> {
    integer(text)
        .map(i64::from)
        .ok_or_else(|| "expected a whole number".to_owned())
}

/// The same where only a port or the like makes sense.
pub(super) fn parse_short(text: &str) -> Result<u16, String> {
    integer(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("expected a whole number from 0 to {}", u16::MAX))
}

fn integer(text: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let (digits, base) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i64::from_str_radix(digits, base).ok()?;
    i32::try_from(if is_negative { -number } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_c() {
        for (text, number) in [
            ("", 0),
            ("0", 0),
            ("00", 0),
            ("10", 10),
            ("010", 8),
            ("0x10", 16),
            ("0XfF", 255),
            ("+5", 5),
            ("-5", -5),
            (" \t5", 5),
            ("-010", -8),
            ("2147483647", i64::from(i32::MAX)),
            ("-2147483648", i64::from(i32::MIN)),
        ] {
            assert_eq!(parse_integer(text), Ok(number), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            " ",
            "+",
            "-",
            "x",
            "5 ",
            "1.5",
            "1e3",
            "08",
            "0x",
            "0x-1",
            "--1",
            "+-1",
            "5x",
            "ü",
            "2147483648",
            "99999999999999999999",
        ] {
            assert!(parse_integer(text).is_err(), "{text:?}");
        }
        for text in ["-1", "65536"] {
            assert!(parse_short(text).is_err(), "{text:?}");
        }
        assert_eq!(parse_short("0xffff"), Ok(u16::MAX));
    }
}
