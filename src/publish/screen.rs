//! Where the progress bar is drawn: a terminal, or a stream of lines.

use std::io::{self, Write};

use console::Term;
use indicatif::TermLike;

/// Ctrl-C makes the terminal write `^C` where the cursor is, behind the bar. It must not begin another line, which
/// clearing the bar would clear in the place of the bar's.
const ROOM_FOR_ECHO: u16 = 4;

/// A terminal, but for the last columns of its lines.
#[derive(Debug)]
pub(super) struct Terminal(Term);

/// No terminal: each line that is drawn is written as a line of its own, and nothing else is.
#[derive(Debug)]
pub(super) struct Lines;

impl Terminal {
    /// The terminal that is standard error.
    pub(super) fn stderr() -> Terminal {
        Terminal(Term::buffered_stderr())
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let (_, columns) = self.0.size();
        columns.saturating_sub(ROOM_FOR_ECHO).max(1)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.0.move_cursor_up(count)
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.0.move_cursor_down(count)
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.0.move_cursor_right(count)
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.0.move_cursor_left(count)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

impl TermLike for Lines {
    fn width(&self) -> u16 {
        120
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // What is blank only moves a cursor.
        match text.trim() {
            "" => Ok(()),
            line => writeln!(io::stderr(), "{line}"),
        }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
