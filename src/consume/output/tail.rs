//! The end of what a command wrote to standard error: the reason that a parked message carries along.

/// How much is kept, in bytes.
const LENGTH: usize = 1024;

/// The last KiB of what was written.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let newest = &bytes[bytes.len().saturating_sub(LENGTH)..];
        let surplus = (self.bytes.len() + newest.len()).saturating_sub(LENGTH);
        self.bytes.drain(..surplus);
        self.bytes.extend_from_slice(newest);
        self.is_cut |= surplus > 0 || newest.len() < bytes.len();
    }

    /// As text of at most that length, with no part of a character at its start; `None` if nothing was written.
    pub(super) fn text(&self) -> Option<String> {
        let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let rest_of_character = if self.is_cut {
            self.bytes.iter().take(3).take_while(is_rest).count()
        } else {
            0
        };
        let text = String::from_utf8_lossy(&self.bytes[rest_of_character..]);
        // A byte that is not UTF-8 becomes a character of three.
        let first = text.len().saturating_sub(LENGTH);
        let start = (first..=text.len()).find(|start| text.is_char_boundary(*start))?;
        (!text.is_empty()).then(|| text[start..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(pieces: &[&[u8]]) -> Option<String> {
        let mut tail = Tail::default();
        for piece in pieces {
            tail.add(piece);
        }
        tail.text()
    }

    #[test]
    fn what_is_short_is_whole() {
        assert_eq!(tail(&[]), None);
        assert_eq!(tail(&[b"", b"no ", b"route\n"]).unwrap(), "no route\n");
        assert_eq!(tail(&[&[b'x'; LENGTH]]).unwrap(), "x".repeat(LENGTH));
    }

    #[test]
    fn of_what_is_long_the_end_is_kept() {
        let numbers: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let text = numbers.join(" ");
        for size in [1, 7, 1000, 5000] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(tail(&pieces).unwrap(), text[text.len() - LENGTH..]);
        }
    }

    #[test]
    fn a_character_is_not_cut() {
        for (character, length) in [("ä", 2), ("€", 3), ("🦀", 4)] {
            for before in 0..length {
                let text = character.repeat(LENGTH) + &"x".repeat(before);
                let end = tail(&[text.as_bytes()]).unwrap();
                assert!(text.ends_with(&end), "{character} {before}");
                assert!(end.len() > LENGTH - length, "{character} {before}");
            }
        }
    }

    #[test]
    fn what_is_not_utf_8_is_text_of_the_same_length_at_most() {
        let end = tail(&[&[0xff; 3000]]).unwrap();
        assert_eq!(end, "\u{fffd}".repeat(LENGTH / 3));
    }
}
