//! The pipes to a child that gets several messages: what it is to read, and what it answers. Nothing here waits.

use std::collections::VecDeque;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{ioctl_fionbio, ioctl_fionread};

/// Bodies from this length on are not copied.
const SHARED: usize = 4 * 1024;

/// How large a piece of copied bytes becomes.
const PIECE: usize = 64 * 1024;

/// How many pieces are written at once.
const AT_ONCE: usize = 32;

/// What is to be written, in pieces.
#[derive(Debug, Default)]
pub(in crate::consume) struct Outgoing {
    pieces: VecDeque<Piece>,
    /// How much of the first piece is written.
    written: usize,
    length: usize,
}

#[derive(Debug)]
enum Piece {
    Own(Vec<u8>),
    Shared(Arc<Vec<u8>>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

impl Outgoing {
    /// Adds a copy of these bytes.
    pub(in crate::consume) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        match self.pieces.back_mut() {
            Some(Piece::Own(piece)) if piece.len() < PIECE => piece.extend_from_slice(bytes),
            _ => self.pieces.push_back(Piece::Own(bytes.to_vec())),
        }
    }

    /// Adds these bytes, copied only if they are few.
    pub(in crate::consume) fn add_shared(&mut self, bytes: &Arc<Vec<u8>>) {
        if bytes.len() < SHARED {
            return self.add(bytes);
        }
        self.length += bytes.len();
        self.pieces.push_back(Piece::Shared(Arc::clone(bytes)));
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn clear(&mut self) {
        *self = Outgoing::default();
    }

    /// Writes once.
    fn write_to(&mut self, pipe: &mut PipeWriter) -> io::Result<()> {
        let mut skipped = self.written;
        let slices: Vec<IoSlice> = self
            .pieces
            .iter()
            .take(AT_ONCE)
            .map(|piece| IoSlice::new(&piece.bytes()[std::mem::take(&mut skipped)..]))
            .collect();
        let count = pipe.write_vectored(&slices)?;
        self.length -= count;
        self.written += count;
        while let Some(first) = self.pieces.front()
            && first.bytes().len() <= self.written
        {
            self.written -= first.bytes().len();
            self.pieces.pop_front();
        }
        Ok(())
    }

    /// All that is not written, as one piece.
    pub(in crate::consume) fn to_vec(&self) -> Vec<u8> {
        let pieces = self.pieces.iter().map(Piece::bytes);
        let mut bytes = pieces.collect::<Vec<_>>().concat();
        bytes.drain(..self.written);
        bytes
    }
}

/// What a child says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::consume) enum Heard {
    /// A line, without its newline.
    Line(Vec<u8>),
    /// A line that is longer than any answer.
    Endless,
    /// Nothing more follows.
    End,
}

/// The tool's ends of the pipes.
#[derive(Debug)]
pub(in crate::consume) struct Conversation {
    /// Absent once it is closed.
    input: Option<PipeWriter>,
    pub(in crate::consume) outgoing: Outgoing,
    /// The input is closed when everything is written.
    is_to_be_closed: bool,
    /// The pipe was full when it was written to last.
    is_full: bool,
    /// Absent once it has come to its end.
    answers: Option<PipeReader>,
    is_readable: bool,
    /// The line that has no end yet.
    begun: Vec<u8>,
    longest: usize,
}

impl Conversation {
    /// A conversation in lines of this length at most, and the child's ends: its standard input, and what it answers to.
    pub(in crate::consume) fn open(
        longest: usize,
    ) -> io::Result<(Conversation, PipeReader, PipeWriter)> {
        let (stdin, input) = io::pipe()?;
        let (answers, to_answer) = io::pipe()?;
        ioctl_fionbio(&input, true)?;
        ioctl_fionbio(&answers, true)?;
        let conversation = Conversation {
            input: Some(input),
            outgoing: Outgoing::default(),
            is_to_be_closed: false,
            is_full: false,
            answers: Some(answers),
            is_readable: false,
            begun: Vec::new(),
            longest,
        };
        Ok((conversation, stdin, to_answer))
    }

    /// The child reads an end of file after what it was given.
    pub(in crate::consume) fn close_input(&mut self) {
        self.is_to_be_closed = true;
    }

    /// Writes as much as the pipe takes.
    pub(in crate::consume) fn flush(&mut self) {
        while !self.is_full
            && !self.outgoing.is_empty()
            && let Some(input) = &mut self.input
        {
            match self.outgoing.write_to(input) {
                Ok(()) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.is_full = true,
                    // The child need not read: what it answers counts, and how it ends.
                    _ => self.input = None,
                },
            }
        }
        if self.input.is_none() {
            self.outgoing.clear();
        }
        if self.is_to_be_closed && self.outgoing.is_empty() {
            self.input = None;
        }
    }

    /// What to wait for: that there are answers, and that the pipe takes more.
    pub(in crate::consume) fn awaited(&self) -> impl Iterator<Item = PollFd<'_>> {
        let input = self.input.as_ref().filter(|_| self.is_full);
        let answers = self.answers.as_ref();
        let answers = answers.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        let input = input.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT));
        answers.into_iter().chain(input)
    }

    /// Takes note of what has come, in the order of [`Conversation::awaited`].
    pub(in crate::consume) fn note(&mut self, mut has_come: impl Iterator<Item = bool>) {
        if self.answers.is_some() {
            self.is_readable |= has_come.next().unwrap_or(false);
        }
        if self.input.is_some() && self.is_full && has_come.next().unwrap_or(false) {
            self.is_full = false;
        }
    }

    /// What the child has said since, if it is known to have said something.
    pub(in crate::consume) fn hear(&mut self, buffer: &mut [u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        if self.is_readable && self.read(buffer, &mut heard) < buffer.len() {
            self.is_readable = false;
        }
        heard
    }

    /// The child has ended. What it has said before.
    pub(in crate::consume) fn hear_last(&mut self, buffer: &mut [u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        let pipe = self.answers.as_ref();
        let in_pipe = pipe.and_then(|pipe| ioctl_fionread(pipe).ok());
        // What a process adds that was left behind does not count.
        let mut left = usize::try_from(in_pipe.unwrap_or(0)).unwrap_or(usize::MAX);
        while left > 0 {
            let most = left.min(buffer.len());
            match self.read(&mut buffer[..most], &mut heard) {
                0 => break,
                count => left -= count,
            }
        }
        heard.retain(|heard| *heard != Heard::End);
        heard
    }

    fn read(&mut self, buffer: &mut [u8], heard: &mut Vec<Heard>) -> usize {
        let Some(answers) = &mut self.answers else {
            return 0;
        };
        match answers.read(buffer) {
            Ok(0) => {
                self.answers = None;
                heard.push(Heard::End);
                0
            }
            Ok(count) => {
                self.split(&buffer[..count], heard);
                count
            }
            Err(_) => 0,
        }
    }

    fn split(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.begun.extend_from_slice(end);
                    heard.push(Heard::Line(std::mem::take(&mut self.begun)));
                }
                None => self.begun.extend_from_slice(piece),
            }
            if self.begun.len() > self.longest {
                self.begun = Vec::new();
                self.answers = None;
                heard.push(Heard::Endless);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(conversation: &mut Conversation) -> Vec<Heard> {
        conversation.is_readable = true;
        conversation.hear(&mut [0; 1000])
    }

    fn line(text: &str) -> Heard {
        Heard::Line(text.as_bytes().to_vec())
    }

    #[test]
    fn what_does_not_fit_into_the_pipe_follows_later() {
        let (mut conversation, mut stdin, _answers) = Conversation::open(10).unwrap();
        let body = Arc::new(vec![b'x'; 300_000]);
        for _ in 0..3 {
            conversation.outgoing.add_shared(&body);
            conversation.outgoing.add(b"\n");
        }
        conversation.close_input();
        conversation.flush();
        assert!(conversation.is_full);
        let mut read = Vec::new();
        let mut buffer = [0; 10_000];
        loop {
            let count = stdin.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..count]);
            conversation.note([false, true].into_iter());
            conversation.flush();
        }
        let line = [body.as_slice(), b"\n"].concat();
        assert!(read == [line.as_slice(); 3].concat());
    }

    #[test]
    fn a_child_that_does_not_read_holds_nothing_up() {
        let (mut conversation, stdin, _answers) = Conversation::open(10).unwrap();
        drop(stdin);
        conversation.outgoing.add(b"x");
        conversation.flush();
        assert!(conversation.outgoing.is_empty());
    }

    #[test]
    fn lines_are_whole_whatever_pieces_they_come_in() {
        let (mut conversation, _stdin, mut answers) = Conversation::open(10).unwrap();
        assert_eq!(hear(&mut conversation), []);
        answers.write_all(b"0\n1").unwrap();
        assert_eq!(hear(&mut conversation), [line("0")]);
        answers.write_all(b"2\n\n3").unwrap();
        assert_eq!(hear(&mut conversation), [line("12"), line("")]);
        answers.write_all(b"4\n5").unwrap();
        drop(answers);
        assert_eq!(conversation.hear_last(&mut [0; 2]), [line("34")]);
    }

    #[test]
    fn an_end_is_heard_once() {
        let (mut conversation, _stdin, answers) = Conversation::open(10).unwrap();
        drop(answers);
        assert_eq!(hear(&mut conversation), [Heard::End]);
        assert_eq!(hear(&mut conversation), []);
    }

    #[test]
    fn a_line_without_end_is_no_answer() {
        let (mut conversation, _stdin, mut answers) = Conversation::open(10).unwrap();
        answers.write_all(b"0\n01234567890").unwrap();
        assert_eq!(hear(&mut conversation), [line("0"), Heard::Endless]);
        assert_eq!(hear(&mut conversation), []);
    }
}
