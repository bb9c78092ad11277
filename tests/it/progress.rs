//! The progress on a terminal: it fits the window, also when that changes, and leaves nothing behind.

use crate::support::{Terminal, Test, eventually};

/// Publishes 100 lines in five seconds.
fn publish<'t>(test: &'t Test, columns: u16, environment: &[(&str, &str)]) -> Terminal<'t> {
    test.queue("queue").declare();
    test.file("lines", "a line\n".repeat(100));
    let folder = env!("CARGO_BIN_EXE_amqp-publish");
    let line = format!("{folder} -r {{queue}} -l --rate 20 lines");
    Terminal::start(test, columns, &line, environment)
}

/// The bar, once it stands alone on the screen.
fn bar_that(terminal: &Terminal<'_>, what: &str, holds: impl Fn(&str) -> bool) {
    eventually(what, || {
        let lines = terminal.lines();
        matches!(lines.as_slice(), [line] if holds(line))
    });
}

#[test]
fn the_bar_fits_the_window_and_is_gone_at_the_end() {
    let test = Test::new();
    let mut terminal = publish(&test, 100, &[]);
    bar_that(&terminal, "a bar", |line| {
        line.contains("[=") && line.len() > 80
    });
    terminal.becomes(50);
    bar_that(&terminal, "a short line", |line| {
        line.contains("msgs") && line.len() < 47
    });
    terminal.becomes(20);
    bar_that(&terminal, "a number", |line| {
        line.ends_with('%') && line.len() < 5
    });
    terminal.becomes(200);
    bar_that(&terminal, "a long bar", |line| {
        line.contains("[=") && line.len() > 180
    });
    assert!(terminal.ends().success());
    eventually("an empty screen", || terminal.lines().is_empty());
}

#[test]
fn a_dumb_terminal_gets_lines_and_no_colour_is_used() {
    let test = Test::new();
    let mut terminal = publish(&test, 80, &[("TERM", "dumb")]);
    assert!(terminal.ends().success());
    terminal.shows("100%");
    assert!(
        !terminal.written().contains('\x1b'),
        "{:?}",
        terminal.written()
    );
    let mut terminal = publish(&test, 80, &[("NO_COLOR", "1")]);
    assert!(terminal.ends().success());
    let written = terminal.written();
    let has_colour = written.split("\x1b[").any(|sequence| {
        let parameters =
            sequence.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        parameters.starts_with('m')
    });
    assert!(!has_colour, "{written:?}");
}
