//! Lines with a tag before each, whole.

/// How long a line may be. One that is longer is broken: its parts are lines of their own.
const LONGEST: usize = 1024 * 1024;

/// Makes tagged lines of what a command writes piece by piece.
#[derive(Debug)]
pub(super) struct Tagger {
    /// The tag and a tab.
    tag: Vec<u8>,
    /// The line that has no end yet.
    begun: Vec<u8>,
}

impl Tagger {
    /// What would break a line is left out of the tag.
    pub(super) fn new(tag: &str) -> Tagger {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let mut tag: String = tag.chars().map(clean).collect();
        tag.push('\t');
        Tagger {
            tag: tag.into_bytes(),
            begun: Vec::new(),
        }
    }

    /// The lines that are whole now, with their tags.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while self.begun.len() + without_newline(rest) > LONGEST {
                let (part, after) = rest.split_at(LONGEST - self.begun.len());
                self.begun.extend_from_slice(part);
                self.end_line(b"\n", &mut lines);
                rest = after;
            }
            if rest.ends_with(b"\n") {
                self.end_line(rest, &mut lines);
            } else {
                self.begun.extend_from_slice(rest);
            }
        }
        lines
    }

    /// The last line, if it had no end.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.begun.is_empty() {
            return Vec::new();
        }
        let mut line = Vec::new();
        self.end_line(b"\n", &mut line);
        line
    }

    fn end_line(&mut self, end: &[u8], lines: &mut Vec<u8>) {
        lines.extend_from_slice(&self.tag);
        lines.append(&mut self.begun);
        lines.extend_from_slice(end);
    }
}

/// How long a line is without its newline.
fn without_newline(line: &[u8]) -> usize {
    line.strip_suffix(b"\n").unwrap_or(line).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(pieces: &[&[u8]]) -> String {
        let mut tagger = Tagger::new("id");
        let mut lines = Vec::new();
        for piece in pieces {
            let whole = tagger.add(piece);
            assert!(whole.is_empty() || whole.ends_with(b"\n"));
            lines.extend(whole);
        }
        lines.extend(tagger.finish());
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn each_line_has_a_tag_whatever_pieces_it_comes_in() {
        let text = "one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(tagged(&pieces), "id\tone\nid\t\nid\ttwo\nid\tthree\n");
        }
        assert_eq!(tagged(&[]), "");
    }

    #[test]
    fn a_line_without_end_is_broken() {
        for size in [1000, LONGEST, 3 * LONGEST] {
            let text = vec![b'x'; LONGEST * 2 + 1];
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            let part = "x".repeat(LONGEST);
            assert!(tagged(&pieces) == format!("id\t{part}\nid\t{part}\nid\tx\n"));
        }
        let longest = "x".repeat(LONGEST) + "\n";
        for size in [LONGEST, LONGEST + 1] {
            let pieces: Vec<&[u8]> = longest.as_bytes().chunks(size).collect();
            assert!(tagged(&pieces) == format!("id\t{longest}"));
        }
    }

    #[test]
    fn a_tag_is_one_line() {
        let mut tagger = Tagger::new("a\nb\tc\u{1b}[31m");
        assert_eq!(tagger.add(b"x\n"), b"a b c [31m\tx\n");
    }
}
