//! One test's world: a folder, a broker, and names on it that nobody else uses.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;
use testbroker::Service;

use super::command::Command;
use super::inspector::Inspector;
use super::queue::Queue;
use super::wait::eventually;

/// Which five programs a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tools {
    Ours,
    /// Debian's amqp-tools, which ours replace.
    Reference,
}

impl Tools {
    /// The folder that holds the five.
    pub(crate) fn folder(self) -> &'static Path {
        match self {
            Self::Ours => Path::new(env!("CARGO_BIN_EXE_amqp-get")).parent().unwrap(),
            Self::Reference => reference_folder(),
        }
    }

    pub(crate) fn reference_is_newest() -> bool {
        env::var_os(NEWEST_REFERENCE).is_some()
    }
}

/// Where the newest release of the reference is; unset: the reference is this machine's, of whatever release.
const NEWEST_REFERENCE: &str = "AMQP_TOOLS_REFERENCE";

fn reference_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| env::var_os(NEWEST_REFERENCE).map_or("/usr/bin".into(), PathBuf::from))
}

/// The run's broker. A private node is started at the first call and ends with the process.
pub(crate) fn broker_url() -> &'static str {
    static SERVICE: OnceLock<(Service, String)> = OnceLock::new();
    let (_, url) = SERVICE.get_or_init(|| {
        let service = Service::from_environment().expect("a broker to test with");
        let url = service.url();
        (service, url)
    });
    url
}

/// A test's folder, its broker and its names there. All of them are gone when it is dropped, also by a panic.
///
/// `{queue}`, or any other lower-case word in braces, stands in command lines and expectations for a name of this
/// test alone; `{url}`, `{host}` and `{port}` are the broker's, `{folder}` is where commands run.
#[derive(Debug)]
pub(crate) struct Test {
    tools: Tools,
    url: String,
    prefix: String,
    names: Mutex<BTreeMap<String, String>>,
    inspector: Inspector,
    folder: TempDir,
}

impl Test {
    /// A test of our tools on the run's broker.
    pub(crate) fn new() -> Self {
        Self::of(Tools::Ours)
    }

    /// A test of these tools on the run's broker.
    pub(crate) fn of(tools: Tools) -> Self {
        Self::at(tools, broker_url())
    }

    /// A test of our tools on another broker, which is reachable without TLS at `url`.
    pub(crate) fn on(url: &str) -> Self {
        Self::at(Tools::Ours, url)
    }

    fn at(tools: Tools, url: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            tools,
            url: url.to_owned(),
            prefix: format!("it-{}-{number}", std::process::id()),
            names: Mutex::default(),
            inspector: Inspector::new(url),
            folder: TempDir::with_prefix("amqp-tools-it-").unwrap(),
        }
    }

    /// One command line, run without a shell. Quotes group words as a shell's do.
    pub(crate) fn run(&self, line: &str) -> Command<'_> {
        let words = shlex::split(line).expect("closed quotes");
        let mut words = words.iter().map(|word| self.fill(word));
        let program = words.next().expect("a program");
        let path = if program.starts_with("amqp-") {
            self.tools.folder().join(program)
        } else {
            program.into()
        };
        Command::new(self, path).args(words)
    }

    /// A script for `/bin/sh`, which finds the tools in its PATH and the broker in `$BROKER_URL`.
    pub(crate) fn shell(&self, script: &str) -> Command<'_> {
        Command::new(self, "/bin/sh".into()).args(["-c".to_owned(), self.fill(script)])
    }

    /// The queue that `{placeholder}` stands for. It is not declared by this.
    pub(crate) fn queue(&self, placeholder: &str) -> Queue<'_> {
        Queue::new(&self.inspector, self.name(placeholder))
    }

    /// The queue of that very name, which the broker chose; it too is deleted in the end.
    pub(crate) fn adopt(&self, name: &str) -> Queue<'_> {
        self.names
            .lock()
            .unwrap()
            .insert(name.to_owned(), name.to_owned());
        Queue::new(&self.inspector, name.to_owned())
    }

    /// What `{placeholder}` stands for.
    pub(crate) fn name(&self, placeholder: &str) -> String {
        match placeholder {
            "url" => self.url.clone(),
            "host" => self.address().0.to_owned(),
            "port" => self.address().1.to_owned(),
            "folder" => self.folder.path().display().to_string(),
            _ => {
                let mut names = self.names.lock().unwrap();
                names
                    .entry(placeholder.to_owned())
                    .or_insert(format!("{}-{placeholder}", self.prefix))
                    .clone()
            }
        }
    }

    /// The placeholders that have been named so far.
    pub(crate) fn placeholders(&self) -> Vec<String> {
        self.names.lock().unwrap().keys().cloned().collect()
    }

    /// The text with its placeholders filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match after.split_once('}') {
                Some((word, behind)) if is_placeholder(word) => {
                    filled.push_str(&self.name(word));
                    rest = behind;
                }
                _ => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled + rest
    }

    /// Writes a file into the test's folder that only its owner may read.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Writes a shell script into the test's folder that commands can run as `./name`.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{}\n", self.fill(body)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is in a file of the test's folder; nothing where there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a command has made that file in the test's folder.
    #[track_caller]
    pub(crate) fn wait_for_file(&self, name: &str) {
        eventually(&format!("no file {name}"), || self.path(name).exists());
    }

    pub(crate) fn tools(&self) -> Tools {
        self.tools
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// The state of every name this test has used, for a failure's report.
    pub(crate) fn describe_queues(&self) -> String {
        let names: Vec<_> = self.names.lock().unwrap().clone().into_iter().collect();
        let describe = |(placeholder, name): (String, String)| {
            let state = Queue::new(&self.inspector, name.clone()).describe();
            format!("  {{{placeholder}}} is {name}: {state}\n")
        };
        names.into_iter().map(describe).collect()
    }

    /// The broker's host and port, out of its URL.
    fn address(&self) -> (&str, &str) {
        let authority = self.url.split('/').nth(2).unwrap_or_default();
        let address = authority.rsplit('@').next().unwrap_or_default();
        address.rsplit_once(':').unwrap_or((address, "5672"))
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let names = std::mem::take(&mut *self.names.lock().unwrap());
        for name in names.into_values() {
            self.inspector.delete(&name);
        }
    }
}

fn is_placeholder(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The caller's PATH is not a command's: it finds what every system has, and the tools under test before those.
pub(crate) fn search_path(tools: Tools) -> String {
    let folder = tools.folder().display();
    match tools {
        Tools::Ours => format!("{folder}:/usr/local/bin:/usr/bin:/bin"),
        Tools::Reference => format!("{folder}:/usr/bin:/bin"),
    }
}
