//! The progress on standard error: a bar where that is a terminal, a line now and then where it is not but is asked for.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
    TermLike as _,
};

use super::options::ShowProgress;
use super::screen::{Lines, Terminal};

/// Below this many columns there is no room for a bar.
const NARROW: u16 = 60;

/// Shows how far it is, if it is to be shown.
#[derive(Clone, Default)]
pub(super) struct Progress {
    shown: Option<Arc<Shown>>,
}

struct Shown {
    bar: ProgressBar,
    counts: Arc<Counts>,
    looks: Looks,
    medium: Medium,
}

/// Where the progress is shown.
#[derive(Clone, Copy)]
enum Medium {
    /// A terminal, with a bar that moves, and which is left as it was.
    Terminal,
    /// A line now and then; the last one says how far it came.
    Lines,
}

impl Medium {
    /// The time from one look to the next.
    fn interval(self) -> Duration {
        match self {
            Medium::Terminal => Duration::from_millis(200),
            Medium::Lines => Duration::from_secs(1),
        }
    }
}

/// What the bar's own words are made of.
struct Counts {
    /// Confirmed in this run.
    messages: AtomicU64,
    /// How much of the input was done before.
    bytes_before: u64,
    began: Instant,
}

/// What is shown, and while the broker takes nothing.
#[derive(Clone)]
struct Looks {
    flowing: ProgressStyle,
    blocked: ProgressStyle,
}

impl Progress {
    /// Begins to show progress through `bytes` bytes of input, if it is known how many there are, of which
    /// `bytes_before` were done in an earlier run.
    pub(super) fn begin(show: ShowProgress, bytes: Option<u64>, bytes_before: u64) -> Progress {
        if !show.is_shown() {
            return Progress::default();
        }
        let counts = Arc::new(Counts {
            messages: AtomicU64::new(0),
            bytes_before,
            began: Instant::now(),
        });
        let (target, columns) = target();
        let looks = Looks::fitting(columns, bytes, &counts);
        let bar = ProgressBar::with_draw_target(bytes, target)
            .with_style(looks.flowing.clone())
            .with_position(bytes_before);
        let medium = columns.map_or(Medium::Lines, |_| Medium::Terminal);
        bar.enable_steady_tick(medium.interval());
        Progress {
            shown: Some(Arc::new(Shown {
                bar,
                counts,
                looks,
                medium,
            })),
        }
    }

    /// Notes how many messages are confirmed, and how many bytes of input that is in this run.
    pub(super) fn advance_to(&self, messages: u64, bytes: u64) {
        if let Some(Shown { bar, counts, .. }) = self.shown.as_deref() {
            counts.messages.store(messages, Ordering::Relaxed);
            bar.set_position(counts.bytes_before + bytes);
        }
    }

    /// Shows that the broker takes no messages, and why, or that it does again.
    pub(super) fn show_blocked(&self, reason: Option<String>) {
        let Some(Shown { bar, looks, .. }) = self.shown.as_deref() else {
            return;
        };
        match reason {
            Some(reason) => {
                bar.set_message(reason);
                bar.set_style(looks.blocked.clone());
            }
            None => bar.set_style(looks.flowing.clone()),
        }
    }

    /// Does something that may print lines on standard error.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.shown.as_deref() {
            Some(Shown { bar, medium, .. }) => {
                bar.disable_steady_tick();
                let done = bar.suspend(work);
                bar.enable_steady_tick(medium.interval());
                done
            }
            None => work(),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        match self.medium {
            Medium::Terminal => self.bar.finish_and_clear(),
            Medium::Lines => self.bar.abandon(),
        }
    }
}

/// Where it is shown, and how many columns there are if that is a terminal.
fn target() -> (ProgressDrawTarget, Option<u16>) {
    if io::stderr().is_terminal() {
        let terminal = Terminal::stderr();
        let columns = terminal.width();
        (
            ProgressDrawTarget::term_like(Box::new(terminal)),
            Some(columns),
        )
    } else {
        (ProgressDrawTarget::term_like(Box::new(Lines)), None)
    }
}

impl Looks {
    fn fitting(columns: Option<u16>, bytes: Option<u64>, counts: &Arc<Counts>) -> Looks {
        let (flowing, blocked) = templates(columns, bytes.is_some());
        Looks {
            flowing: counts.style(flowing),
            blocked: counts.style(blocked),
        }
    }
}

/// What is shown while messages flow, and while the broker takes none.
fn templates(columns: Option<u16>, length_is_known: bool) -> (&'static str, &'static str) {
    match (columns, length_is_known) {
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

impl Counts {
    fn style(self: &Arc<Self>, template: &str) -> ProgressStyle {
        let [messages, rate, left] = [(); 3].map(|()| Arc::clone(self));
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
            .with_key(
                "messages",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    // What cannot be written here is not worth an error.
                    let _ = write!(out, "{}", HumanCount(messages.messages()));
                },
            )
            .with_key(
                "rate",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = write!(out, "{}", HumanCount(rate.messages_per_second()));
                },
            )
            .with_key(
                "left",
                move |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = match left.time_left(state.pos(), state.len()) {
                        Some(time) => write!(out, "{:#}", HumanDuration(time)),
                        None => write!(out, "?"),
                    };
                },
            )
    }

    fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// On average since the beginning.
    fn messages_per_second(&self) -> u64 {
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.messages() * 1000 / milliseconds.max(1)
    }

    /// How long the rest takes if it goes on as it did so far.
    fn time_left(&self, position: u64, length: Option<u64>) -> Option<Duration> {
        let done = position.saturating_sub(self.bytes_before);
        let rest = length?.saturating_sub(position);
        let times = u32::try_from(u128::from(rest) * 1000 / u128::from(done.max(1))).ok()?;
        (done > 0).then(|| self.began.elapsed().saturating_mul(times) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_templates_are_understood() {
        for columns in [None, Some(40), Some(80)] {
            for length_is_known in [false, true] {
                let (flowing, blocked) = templates(columns, length_is_known);
                assert!(ProgressStyle::with_template(flowing).is_ok());
                assert!(ProgressStyle::with_template(blocked).is_ok());
            }
        }
    }

    #[test]
    fn the_time_left_does_not_count_what_was_done_before() {
        let now = Instant::now();
        let counts = Counts {
            messages: AtomicU64::new(0),
            bytes_before: 900,
            began: now.checked_sub(Duration::from_secs(10)).unwrap_or(now),
        };
        assert_eq!(counts.time_left(900, Some(1000)), None);
        assert_eq!(counts.time_left(950, None), None);
        let left = counts.time_left(920, Some(1000)).unwrap();
        assert!((40..=60).contains(&left.as_secs()), "{left:?}");
    }
}
