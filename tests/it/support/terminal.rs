//! A program on a terminal: a pseudo-terminal of a size, what is typed, and what stands on the screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{self, Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::test::{Test, search_path};
use super::wait::{DEADLINE, until};

/// How many lines every terminal has.
const ROWS: u16 = 24;

/// A running program whose three streams are a terminal, and the test at its keyboard.
pub(crate) struct Terminal<'t> {
    test: &'t Test,
    keyboard: File,
    child: Child,
    screen: Arc<Mutex<Screen>>,
}

/// What the program has written.
struct Screen {
    parser: vt100::Parser,
    text: String,
}

impl<'t> Terminal<'t> {
    /// Starts a program on a terminal that many columns wide. Placeholders are filled in.
    pub(crate) fn start(
        test: &'t Test,
        columns: u16,
        line: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let (keyboard, terminal) = open(columns);
        // setsid makes the terminal the one that controls the program.
        let mut command = process::Command::new("/usr/bin/setsid");
        command.args(["--ctty", "--wait"]);
        let words = shlex::split(line).expect("closed quotes");
        command.args(words.iter().map(|word| test.fill(word)));
        command
            .env_clear()
            .current_dir(test.path(""))
            .env("PATH", search_path(test.tools()))
            .env("HOME", test.path(""))
            .env("TERM", "xterm")
            .env("AMQP_URL", test.url());
        for (name, value) in environment {
            command.env(name, test.fill(value));
        }
        command
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal);
        let child = command.spawn().unwrap();
        drop(command); // with it goes our copy of the terminal, so that its end is noticed
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(ROWS, columns, 1000),
            text: String::new(),
        }));
        watch(keyboard.try_clone().unwrap(), Arc::clone(&screen));
        Self {
            test,
            keyboard,
            child,
            screen,
        }
    }

    /// Types these keys; `\t` is TAB and `\r` is Enter.
    pub(crate) fn types(&mut self, keys: &str) {
        let keys = self.test.fill(keys);
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another width.
    pub(crate) fn becomes(&self, columns: u16) {
        let mut screen = self.screen.lock().unwrap();
        screen.parser.screen_mut().set_size(ROWS, columns);
        tcsetwinsize(&self.keyboard, size(columns)).unwrap();
    }

    /// Everything that was written, with the terminal's control sequences.
    pub(crate) fn written(&self) -> String {
        self.screen.lock().unwrap().text.clone()
    }

    /// The lines of the screen that are not empty.
    pub(crate) fn lines(&self) -> Vec<String> {
        let contents = self.screen.lock().unwrap().parser.screen().contents();
        let lines = contents.lines().map(str::trim_end);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Waits until this has been written.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        let text = self.test.fill(text);
        let found = until(DEADLINE, || self.written().contains(&text).then_some(()));
        assert!(
            found.is_some(),
            "waited in vain for {text:?}: {:?}",
            self.written()
        );
    }

    /// Waits for the program's end.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        until(DEADLINE, || self.child.try_wait().unwrap())
            .unwrap_or_else(|| panic!("it does not end: {:?}", self.written()))
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // setsid --wait ends with its child, which the terminal's end gets rid of.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both ends of a new terminal.
fn open(columns: u16) -> (File, OwnedFd) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    tcsetwinsize(&keyboard, size(columns)).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    (keyboard.into(), terminal.into())
}

fn size(columns: u16) -> Winsize {
    Winsize {
        ws_row: ROWS,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Reads all that is written, until the last program on the terminal has ended.
fn watch(mut terminal: File, screen: Arc<Mutex<Screen>>) {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = terminal.read(&mut chunk) {
            let mut screen = screen.lock().unwrap();
            screen.parser.process(&chunk[..count]);
            screen.text += &String::from_utf8_lossy(&chunk[..count]);
        }
    });
}
