//! Reading what a command writes, through pipes: never through files, which it would cut by opening `/dev/stdout` anew.
//!
//! A thread for each command reads. What it takes in belongs to the command until the command has ended: what is in the pipes
//! then is the last of it, also where a process that the command has left behind still holds them. What such a one writes
//! later is passed on where the command's would be, and else nobody reads it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::thread;

use crossbeam_channel::{Receiver, TryRecvError};
use rustix::io::{ioctl_fionbio, ioctl_fionread};

use super::control::{Control, State};
use super::own_stream::{Broken, OwnStream, OwnStreams, Target};
use super::tagger::Tagger;
use super::tail::Tail;
use crate::reason::reason;
use crate::system::stderr::warn;
use crate::system::waker::{Waker, WakingSender};

/// How much is read at once.
const PIECE: usize = 32 * 1024;

/// What of a command's streams is taken. The others are the tool's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consume) struct Wanted {
    /// Standard output is kept, up to so many bytes.
    pub(in crate::consume) output: Option<usize>,
    /// Lines are passed on with a tag.
    pub(in crate::consume) tags: bool,
    /// The end of standard error is kept.
    pub(in crate::consume) error: bool,
}

/// Starts collectors, and hears of what they have collected.
pub(in crate::consume) struct Collectors {
    wanted: Wanted,
    streams: OwnStreams,
    report_sender: WakingSender<Collected>,
    reports: Receiver<Collected>,
    waker: Waker,
}

/// The ends of the pipes that a command writes to.
#[derive(Debug, Default)]
pub(in crate::consume) struct Pipes {
    pub(in crate::consume) stdout: Option<PipeWriter>,
    pub(in crate::consume) stderr: Option<PipeWriter>,
    /// For what a child says about its messages. No collector reads it.
    pub(in crate::consume) answers: Option<PipeWriter>,
}

/// The thread that reads what a command writes, as seen from outside. Dropped, it waits for nobody any more, and reports.
#[derive(Debug)]
pub(in crate::consume) struct Collector {
    /// A byte says that the command has ended.
    control: PipeWriter,
}

/// What a command has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::consume) struct Collected {
    /// The command's number.
    pub(in crate::consume) number: u64,
    /// Its output, up to the limit.
    pub(in crate::consume) output: Vec<u8>,
    /// It wrote more than that.
    pub(in crate::consume) is_over_limit: bool,
    /// The tool could not write all of it to its own standard output.
    pub(in crate::consume) is_lost: bool,
    /// The end of what it wrote to standard error.
    pub(in crate::consume) error: Option<String>,
}

impl Wanted {
    /// Whether there is something to be taken.
    pub(in crate::consume) fn is_something(self) -> bool {
        self.takes_stdout() || self.takes_stderr()
    }

    fn takes_stdout(self) -> bool {
        self.output.is_some() || self.tags
    }

    fn takes_stderr(self) -> bool {
        self.tags || self.error
    }
}

impl Collectors {
    /// Each report wakes the loop.
    pub(in crate::consume) fn new(wanted: Wanted, waker: &Waker) -> Collectors {
        let (report_sender, reports) = WakingSender::new(waker);
        Collectors {
            wanted,
            streams: OwnStreams::default(),
            report_sender,
            reports,
            waker: waker.clone(),
        }
    }

    /// Begins to read what the command of this number will write.
    pub(in crate::consume) fn start(
        &mut self,
        number: u64,
        tag: &str,
    ) -> io::Result<(Pipes, Collector)> {
        let (control, commanded) = io::pipe()?;
        let mut pipes = Pipes::default();
        let mut stdout = None;
        if self.wanted.takes_stdout() {
            let sink = match self.wanted.output {
                Some(limit) => Sink::Kept(Output::up_to(limit)),
                None => Sink::Passed(self.passing(Target::Stdout, tag)?),
            };
            let (source, pipe) = Source::into(sink)?;
            stdout = Some(source);
            pipes.stdout = Some(pipe);
        }
        let mut stderr = None;
        if self.wanted.takes_stderr() {
            let sink = Sink::Passed(self.passing(Target::Stderr, tag)?);
            let (source, pipe) = Source::into(sink)?;
            stderr = Some(source);
            pipes.stderr = Some(pipe);
        }
        let thread = Thread {
            number,
            sources: [stdout, stderr],
            control: Control {
                pipe: control,
                state: State::Running,
            },
            reports: self.report_sender.clone(),
        };
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || thread.work())?;
        Ok((pipes, Collector { control: commanded }))
    }

    fn passing(&mut self, target: Target, tag: &str) -> io::Result<Passing> {
        Ok(Passing {
            stream: self.streams.get(target)?,
            target,
            tagger: self.wanted.tags.then(|| Tagger::new(tag)),
            tail: (self.wanted.error && target == Target::Stderr).then(Tail::default),
            has_passed_on: false,
        })
    }

    /// What a command has written that has ended, without waiting.
    pub(in crate::consume) fn next_report(&self) -> Option<Collected> {
        self.reports.try_recv().ok()
    }

    /// The loop is woken when all is written that was passed on to standard output; the channel has come to its end then.
    pub(in crate::consume) fn finish_stdout(&self) -> Receiver<()> {
        self.finish(Target::Stdout)
    }

    /// The same for standard error.
    pub(in crate::consume) fn finish_stderr(&self) -> Receiver<()> {
        self.finish(Target::Stderr)
    }

    fn finish(&self, target: Target) -> Receiver<()> {
        let (when_done, done) = WakingSender::new(&self.waker);
        self.streams.finish(target, when_done);
        done
    }
}

impl Collector {
    /// The command has ended: what is in the pipes is the last of it.
    pub(in crate::consume) fn end(&mut self) {
        // The thread may have seen the ends of all pipes, and be gone.
        let _ = self.control.write(&[0]);
    }
}

/// The thread.
struct Thread {
    number: u64,
    /// Standard output, standard error; absent where they are the tool's own.
    sources: [Option<Source>; 2],
    control: Control,
    reports: WakingSender<Collected>,
}

/// What becomes of what is in a pipe.
struct Source {
    /// Absent once it has come to its end, or nobody wants more.
    pipe: Option<PipeReader>,
    sink: Sink,
}

enum Sink {
    Kept(Output),
    Passed(Passing),
}

/// Standard output that is to be published.
struct Output {
    bytes: Vec<u8>,
    limit: usize,
    is_over_limit: bool,
}

/// A stream that goes on to the tool's own.
struct Passing {
    stream: OwnStream,
    target: Target,
    tagger: Option<Tagger>,
    tail: Option<Tail>,
    has_passed_on: bool,
}

/// Nothing more is wanted of a pipe.
struct Enough;

impl Thread {
    fn work(mut self) {
        let mut buffer = vec![0; PIECE];
        while self.is_open() || self.control.state != State::Reported {
            match self.control.state {
                State::Reported => {}
                _ if !self.is_open() => self.report(),
                State::Running => {}
                State::Ended(_) => {
                    self.empty(&mut buffer);
                    self.report();
                }
                State::GivenUp => {
                    self.empty(&mut buffer);
                    return self.report();
                }
            }
            if self.is_open() {
                self.read_on(&mut buffer);
            }
        }
    }

    fn is_open(&self) -> bool {
        self.sources
            .iter()
            .flatten()
            .any(|source| source.pipe.is_some())
    }

    /// Takes in what is in the pipes.
    fn empty(&mut self, buffer: &mut [u8]) {
        for source in self.sources.iter_mut().flatten() {
            source.empty(buffer, &mut self.control);
        }
    }

    fn report(&mut self) {
        let mut collected = Collected {
            number: self.number,
            ..Collected::default()
        };
        for source in self.sources.iter_mut().flatten() {
            match &mut source.sink {
                Sink::Kept(output) => {
                    collected.output = std::mem::take(&mut output.bytes);
                    collected.is_over_limit = output.is_over_limit;
                    source.pipe = None;
                }
                Sink::Passed(passing) => {
                    let error = passing.tail.take().and_then(|tail| tail.text());
                    collected.error = collected.error.or(error);
                    collected.is_lost |= passing.is_lost(&mut self.control);
                }
            }
        }
        self.control.state = State::Reported;
        let _ = self.reports.send(collected);
    }

    /// Waits until there is something, and takes it in.
    fn read_on(&mut self, buffer: &mut [u8]) {
        let pipes: Vec<&PipeReader> = self
            .sources
            .iter()
            .flatten()
            .filter_map(|source| source.pipe.as_ref())
            .collect();
        let (told, readable) = self.control.wait_for(&pipes);
        self.control.hear(told);
        let open = self
            .sources
            .iter_mut()
            .flatten()
            .filter(|source| source.pipe.is_some());
        for (source, is_readable) in open.zip(readable) {
            if is_readable {
                source.read(buffer, &mut self.control);
            }
        }
    }
}

impl Source {
    fn into(sink: Sink) -> io::Result<(Source, PipeWriter)> {
        let (pipe, writer) = io::pipe()?;
        ioctl_fionbio(&pipe, true)?;
        let source = Source {
            pipe: Some(pipe),
            sink,
        };
        Ok((source, writer))
    }

    /// Takes in a piece, and says how large it was.
    fn read(&mut self, buffer: &mut [u8], control: &mut Control) -> usize {
        let Some(pipe) = &mut self.pipe else {
            return 0;
        };
        let count = match pipe.read(buffer) {
            Ok(count) => count,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => return 0,
                _ => 0,
            },
        };
        let taken = match count {
            0 => self.sink.finish(control).and(Err(Enough)),
            _ => self.sink.take(&buffer[..count], control),
        };
        if taken.is_err() {
            self.pipe = None; // whoever writes more learns of it
        }
        count
    }

    /// Takes in what is in the pipe now, and no more: a process that was left behind may write for ever.
    fn empty(&mut self, buffer: &mut [u8], control: &mut Control) {
        let in_pipe = self
            .pipe
            .as_ref()
            .and_then(|pipe| ioctl_fionread(pipe).ok());
        let mut left = usize::try_from(in_pipe.unwrap_or(0)).unwrap_or(usize::MAX);
        while left > 0 {
            let most = left.min(buffer.len());
            match self.read(&mut buffer[..most], control) {
                0 => break,
                count => left -= count,
            }
        }
        if self.pipe.is_some() && self.sink.finish(control).is_err() {
            self.pipe = None;
        }
    }
}

impl Sink {
    fn take(&mut self, bytes: &[u8], control: &mut Control) -> Result<(), Enough> {
        match self {
            Sink::Kept(output) => output.take(bytes),
            Sink::Passed(passing) => passing.take(bytes, control),
        }
    }

    /// Nothing more follows, or what follows is not the command's.
    fn finish(&mut self, control: &mut Control) -> Result<(), Enough> {
        match self {
            Sink::Kept(_) => Ok(()),
            Sink::Passed(passing) => passing.finish(control),
        }
    }
}

impl Output {
    fn up_to(limit: usize) -> Output {
        Output {
            bytes: Vec::new(),
            limit,
            is_over_limit: false,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Enough> {
        let room = self.limit - self.bytes.len();
        self.is_over_limit = bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.is_over_limit {
            Err(Enough)
        } else {
            Ok(())
        }
    }
}

impl Passing {
    fn take(&mut self, bytes: &[u8], control: &mut Control) -> Result<(), Enough> {
        if let Some(tail) = &mut self.tail {
            tail.add(bytes);
        }
        let chunk = match &mut self.tagger {
            Some(tagger) => tagger.add(bytes),
            None => bytes.to_vec(),
        };
        self.pass_on(chunk, control)
    }

    fn finish(&mut self, control: &mut Control) -> Result<(), Enough> {
        let rest = self.tagger.as_mut().map(Tagger::finish);
        self.pass_on(rest.unwrap_or_default(), control)
    }

    /// Waits until the command's standard output is written. Returns whether the tool could not write some of it.
    fn is_lost(&self, control: &mut Control) -> bool {
        if self.target == Target::Stderr || !self.has_passed_on {
            return false;
        }
        let waker = match Waker::new() {
            Ok(waker) => waker,
            Err(error) => {
                warn(&format!(
                    "cannot wait until a command's standard output is written: {}; the command has failed",
                    reason(&error)
                ));
                return true;
            }
        };
        let (when_done, done) = WakingSender::new(&waker);
        self.stream.finish(when_done);
        while done.try_recv() == Err(TryRecvError::Empty) {
            if control.state == State::GivenUp {
                return true;
            }
            let (told, _) = control.wait_for(&[&waker]);
            control.hear(told);
        }
        self.stream.is_broken()
    }

    fn pass_on(&mut self, chunk: Vec<u8>, control: &mut Control) -> Result<(), Enough> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.has_passed_on = true;
        while !self.stream.take_room() {
            if !control.wait_for_room(&self.stream, self.target) {
                if self.target == Target::Stderr {
                    self.stream.leave_out(&chunk);
                }
                return Ok(());
            }
        }
        self.stream.write(chunk).map_err(|Broken| Enough)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// Starts a script whose output is kept up to that many bytes.
    fn start(limit: usize, script: &str) -> (Collectors, Collector, Child) {
        let wanted = Wanted {
            output: Some(limit),
            tags: false,
            error: false,
        };
        let mut collectors = Collectors::new(wanted, &Waker::new().unwrap());
        let (pipes, collector) = collectors.start(7, "tag").unwrap();
        let child = Command::new("sh")
            .args(["-c", script])
            .stdout(pipes.stdout.unwrap())
            .spawn()
            .unwrap();
        (collectors, collector, child)
    }

    fn report(collectors: &Collectors) -> Collected {
        collectors.reports.recv().unwrap()
    }

    #[test]
    fn an_output_is_whole() {
        for count in [0, 1, 70_000, 1_000_000] {
            let (collectors, _collector, mut child) =
                start(1_000_000, &format!("head -c {count} /dev/zero"));
            let collected = report(&collectors);
            assert_eq!((collected.number, collected.output.len()), (7, count));
            assert!(!collected.is_over_limit);
            assert!(child.wait().unwrap().success());
        }
    }

    #[test]
    fn a_command_that_writes_too_much_learns_of_it() {
        let (collectors, _collector, mut child) = start(1000, "exec cat /dev/zero");
        let collected = report(&collectors);
        assert_eq!(collected.output.len(), 1000);
        assert!(collected.is_over_limit);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn what_is_left_behind_holds_nothing_up() {
        let script = "(trap '' TERM; while sleep 0.01; do echo x; done) & echo one; sleep 0.1";
        let (collectors, mut collector, mut child) = start(1_000_000, script);
        child.wait().unwrap();
        assert_eq!(collectors.next_report(), None);
        collector.end();
        let output = String::from_utf8(report(&collectors).output).unwrap();
        assert!(output.starts_with("one\n") || output.starts_with("x\n"));
    }

    #[test]
    fn who_is_given_up_reports_what_there_is() {
        let (collectors, collector, mut child) = start(1000, "echo one; exec >&-; exec sleep 60");
        assert_eq!(report(&collectors).output, b"one\n");
        drop(collector);
        child.kill().unwrap();
        child.wait().unwrap();

        let (collectors, collector, mut child) = start(1000, "exec sleep 60");
        drop(collector);
        assert_eq!(report(&collectors).output, b"");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
