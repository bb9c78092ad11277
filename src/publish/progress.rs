//! The progress on standard error: a bar on a terminal, else a line now and then.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::system::stderr;
use console::Term;
use indicatif::{
    HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
    TermLike,
};

/// Below this many columns there is no room for a bar.
const NARROW: u16 = 60;

/// Below this many, there is room for one number.
const TINY: u16 = 40;

/// Ctrl-C makes the terminal write `^C` where the cursor is, behind the bar. Without room for it, it would begin another line,
/// and clearing the bar would clear that line instead of the bar's.
const ROOM_FOR_ECHO: u16 = 4;

/// Shows the progress, if it is to be shown.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<Arc<Shown>>);

struct Shown {
    bar: ProgressBar,
    /// How many messages are confirmed in this run.
    messages: Arc<AtomicU64>,
    /// How much of the input was done in earlier runs.
    bytes_before: u64,
    is_terminal: bool,
    templates: Templates,
    is_length_known: bool,
    /// How many columns there were when something was drawn last.
    columns: Arc<AtomicU16>,
    is_blocked: AtomicBool,
    /// What is drawn now.
    template: Mutex<&'static str>,
}

impl Progress {
    /// Begins to show progress through `bytes` bytes of input, if that number is known. `bytes_before` of them were done in
    /// earlier runs.
    pub(super) fn begin(is_shown: bool, bytes: Option<u64>, bytes_before: u64) -> Progress {
        Progress::begin_with(is_shown, bytes, bytes_before, templates)
    }

    /// Begins to show progress through `messages` messages, if that number is known. Their sizes do not count.
    pub(crate) fn begin_counting(is_shown: bool, messages: Option<u64>) -> Progress {
        Progress::begin_with(is_shown, messages, 0, message_templates)
    }

    fn begin_with(
        is_shown: bool,
        length: Option<u64>,
        length_before: u64,
        templates: Templates,
    ) -> Progress {
        if !is_shown || stderr::is_json() {
            return Progress::default();
        }
        let screen = Screen::stderr();
        let is_terminal = screen.terminal.is_some();
        let columns = Arc::clone(&screen.columns);
        columns.store(screen.width(), Ordering::Relaxed);
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        let shown = Shown {
            bar: ProgressBar::with_draw_target(length, target).with_position(length_before),
            messages: Arc::default(),
            bytes_before: length_before,
            is_terminal,
            templates,
            is_length_known: length.is_some(),
            columns,
            is_blocked: AtomicBool::new(false),
            template: Mutex::new(""),
        };
        shown.fit();
        shown.tick();
        Progress(Some(Arc::new(shown)))
    }

    /// Sets how many messages are confirmed, and how many bytes of input they are, in this run.
    pub(crate) fn advance_to(&self, messages: u64, bytes: u64) {
        if let Some(shown) = &self.0 {
            shown.messages.store(messages, Ordering::Relaxed);
            shown.fit();
            shown.bar.set_position(shown.bytes_before + bytes);
        }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Shows why the broker takes no messages, or that it takes messages again.
    pub(crate) fn show_blocked(&self, reason: Option<String>) {
        let Some(shown) = &self.0 else {
            return;
        };
        shown.is_blocked.store(reason.is_some(), Ordering::Relaxed);
        if let Some(reason) = reason {
            shown.bar.set_message(reason);
        }
        shown.fit();
    }

    /// Does work that may print lines on standard error.
    pub(crate) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(shown) = &self.0 else {
            return work();
        };
        shown.bar.disable_steady_tick();
        let done = shown.bar.suspend(work);
        shown.tick();
        done
    }
}

impl Shown {
    fn tick(&self) {
        self.bar.enable_steady_tick(if self.is_terminal {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(1)
        });
    }

    /// Has what fits the window now be drawn, whose size may have changed.
    fn fit(&self) {
        let columns = self
            .is_terminal
            .then(|| self.columns.load(Ordering::Relaxed));
        let (flowing, blocked) = (self.templates)(columns, self.is_length_known);
        let is_blocked = self.is_blocked.load(Ordering::Relaxed);
        let fitting = if is_blocked { blocked } else { flowing };
        let mut template = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        if *template != fitting {
            *template = fitting;
            self.set_template(fitting);
        }
    }

    /// Sets what is drawn. `{messages}` and `{rate}` (in this run, on average) and `{left}` are keys of ours.
    fn set_template(&self, template: &str) {
        let (messages, counted) = (Arc::clone(&self.messages), Arc::clone(&self.messages));
        let bytes_before = self.bytes_before;
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
            .with_key(
                "messages",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = write!(out, "{}", HumanCount(messages.load(Ordering::Relaxed)));
                },
            )
            .with_key(
                "rate",
                move |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let rate = per_second(counted.load(Ordering::Relaxed), state.elapsed());
                    let _ = write!(out, "{}", HumanCount(rate));
                },
            )
            .with_key(
                "left",
                move |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let done = state.pos().saturating_sub(bytes_before);
                    let rest = state.len().map(|length| length.saturating_sub(state.pos()));
                    let _ = match rest.and_then(|rest| time_left(done, rest, state.elapsed())) {
                        Some(time) => write!(out, "{:#}", HumanDuration(time)),
                        None => write!(out, "?"),
                    };
                },
            );
        self.bar.set_style(style);
    }
}

impl Drop for Shown {
    /// A bar on a terminal disappears; otherwise a last line says how far it came.
    fn drop(&mut self) {
        if self.is_terminal {
            self.bar.finish_and_clear();
        } else {
            self.bar.abandon();
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    count * 1000 / milliseconds.max(1)
}

/// How long the rest takes at the average speed so far. indicatif's own estimate would count what earlier runs did.
fn time_left(done: u64, rest: u64, elapsed: Duration) -> Option<Duration> {
    let times = u32::try_from(u128::from(rest) * 1000 / u128::from(done.max(1))).ok()?;
    (done > 0).then(|| elapsed.saturating_mul(times) / 1000)
}

/// The templates for so many columns, where the length is known or not: while messages flow, and while the broker takes none.
type Templates = fn(Option<u16>, bool) -> (&'static str, &'static str);

/// The templates where messages are counted, and no bytes.
fn message_templates(columns: Option<u16>, length_is_known: bool) -> (&'static str, &'static str) {
    match (columns, length_is_known) {
        (Some(..NARROW), _) => templates(columns, length_is_known),
        (Some(_), true) => (
            "[{wide_bar}] {percent}%  {messages} of {human_len} messages  {rate}/s  ETA {left}",
            "{percent}%  {messages} messages  blocked by the broker: {wide_msg}",
        ),
        (None, true) => (
            "{percent}%  {messages} of {human_len} messages  {rate}/s  ETA {left}",
            "{percent}%  {messages} messages  blocked by the broker: {msg}",
        ),
        (Some(_), false) => (
            "{messages} messages  {rate}/s",
            "{messages} messages  blocked by the broker: {wide_msg}",
        ),
        (None, false) => (
            "{messages} messages  {rate}/s",
            "{messages} messages  blocked by the broker: {msg}",
        ),
    }
}

/// The templates where bytes are counted.
fn templates(columns: Option<u16>, length_is_known: bool) -> (&'static str, &'static str) {
    match (columns, length_is_known) {
        (Some(..TINY), true) => ("{percent}%", "blocked: {wide_msg}"),
        (Some(..TINY), false) => ("{messages} msgs", "blocked: {wide_msg}"),
        (Some(..NARROW), true) => (
            "{percent}% {messages} msgs {rate}/s {left}",
            "{percent}% blocked by the broker: {wide_msg}",
        ),
        (Some(..NARROW), false) => (
            "{messages} msgs {rate}/s",
            "blocked by the broker: {wide_msg}",
        ),
        (Some(_), true) => (
            "[{wide_bar}] {percent}%  {binary_bytes} of {binary_total_bytes}  {messages} messages  {rate}/s  ETA {left}",
            "{percent}% of {binary_total_bytes}  {messages} messages  blocked by the broker: {wide_msg}",
        ),
        (None, true) => (
            "{percent}%  {binary_bytes} of {binary_total_bytes}  {messages} messages  {rate}/s  ETA {left}",
            "{percent}% of {binary_total_bytes}  {messages} messages  blocked by the broker: {msg}",
        ),
        (Some(_), false) => (
            "{binary_bytes}  {messages} messages  {rate}/s",
            "{binary_bytes}  {messages} messages  blocked by the broker: {wide_msg}",
        ),
        (None, false) => (
            "{binary_bytes}  {messages} messages  {rate}/s",
            "{binary_bytes}  {messages} messages  blocked by the broker: {msg}",
        ),
    }
}

/// Where the bar is drawn: a terminal without the last columns of its lines, or standard error as a stream of lines, where a
/// cursor cannot be moved.
#[derive(Debug)]
struct Screen {
    terminal: Option<Term>,
    /// What was last found to be its width.
    columns: Arc<AtomicU16>,
}

impl Screen {
    fn stderr() -> Screen {
        let is_dumb = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        let is_terminal = io::stderr().is_terminal() && !is_dumb;
        Screen {
            terminal: is_terminal.then(Term::buffered_stderr),
            columns: Arc::default(),
        }
    }

    fn on_terminal(&self, act: impl FnOnce(&Term) -> io::Result<()>) -> io::Result<()> {
        self.terminal.as_ref().map_or(Ok(()), act)
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        let Some(terminal) = &self.terminal else {
            return 120;
        };
        let columns = terminal.size().1.saturating_sub(ROOM_FOR_ECHO).max(1);
        self.columns.store(columns, Ordering::Relaxed);
        columns
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.on_terminal(|terminal| terminal.move_cursor_up(count))
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.on_terminal(|terminal| terminal.move_cursor_down(count))
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.on_terminal(|terminal| terminal.move_cursor_right(count))
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.on_terminal(|terminal| terminal.move_cursor_left(count))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        match &self.terminal {
            Some(terminal) => terminal.write_line(text),
            None => self.write_str(text),
        }
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        match (&self.terminal, text.trim()) {
            (Some(terminal), _) => terminal.write_str(text),
            // Blanks only move the cursor of a terminal.
            (None, "") => Ok(()),
            (None, line) => writeln!(io::stderr(), "{line}"),
        }
    }

    fn clear_line(&self) -> io::Result<()> {
        self.on_terminal(Term::clear_line)
    }

    fn flush(&self) -> io::Result<()> {
        self.on_terminal(Term::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicatif_takes_all_templates() {
        for columns in [None, Some(20), Some(40), Some(80)] {
            for length_is_known in [false, true] {
                for templates in [templates, message_templates] {
                    let (flowing, blocked) = templates(columns, length_is_known);
                    assert!(ProgressStyle::with_template(flowing).is_ok());
                    assert!(ProgressStyle::with_template(blocked).is_ok());
                }
            }
        }
    }

    #[test]
    fn the_time_left_follows_from_this_run_alone() {
        let elapsed = Duration::from_secs(10);
        assert_eq!(time_left(0, 100, elapsed), None);
        assert_eq!(time_left(20, 80, elapsed), Some(Duration::from_secs(40)));
    }
}
