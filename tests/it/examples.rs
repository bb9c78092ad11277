//! Every command line in the documentation is one that the tools understand: README, guides, manifests' README, man
//! pages and the examples of `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use amqp_tools::cli;

/// What separates one command of a shell line from the next, or ends its arguments.
const SEPARATORS: [&str; 7] = ["|", "||", "&&", ";", "&", "do", "\\"];

#[test]
fn every_example_in_the_documents_parses() {
    let mut checked = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for line in code_lines(&text) {
            checked += check_line(&line, &document.display().to_string());
        }
    }
    assert!(checked > 40, "only {checked} command lines were found");
}

#[test]
fn every_example_of_help_parses() {
    for tool in TOOLS {
        let help = (tool.command_line)().get_after_help().unwrap().to_string();
        let examples: usize = help
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
            .map(|line| check_line(line, &format!("{} --help", tool.name)))
            .sum();
        assert!(examples > 0, "{} --help has no example", tool.name);
    }
}

#[test]
fn help_fits_80_columns() {
    for tool in TOOLS {
        let help = (tool.command_line)().render_long_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{} --help: {line}", tool.name);
        }
    }
}

#[test]
fn a_wrong_example_is_noticed() {
    let line = "amqp-get -q x | jq . && amqp-get --no-such-flag";
    let failure = std::panic::catch_unwind(|| check_line(line, "here"));
    assert!(failure.is_err());
    assert_eq!(
        check_line("amqp-get -q x -c 3 --json | jq .body", "here"),
        1
    );
    assert_eq!(
        check_line("queue=$(amqp-declare-queue -q '') # a comment", "here"),
        1
    );
}

struct ToolUnderTest {
    name: &'static str,
    command_line: fn() -> clap::Command,
}

const TOOLS: [ToolUnderTest; 9] = [
    ToolUnderTest {
        name: "amqp-call",
        command_line: cli::command_line::<cli::Call>,
    },
    ToolUnderTest {
        name: "amqp-consume",
        command_line: cli::command_line::<cli::Consume>,
    },
    ToolUnderTest {
        name: "amqp-declare-exchange",
        command_line: cli::command_line::<cli::DeclareExchange>,
    },
    ToolUnderTest {
        name: "amqp-declare-queue",
        command_line: cli::command_line::<cli::DeclareQueue>,
    },
    ToolUnderTest {
        name: "amqp-delete-exchange",
        command_line: cli::command_line::<cli::DeleteExchange>,
    },
    ToolUnderTest {
        name: "amqp-delete-queue",
        command_line: cli::command_line::<cli::DeleteQueue>,
    },
    ToolUnderTest {
        name: "amqp-get",
        command_line: cli::command_line::<cli::Get>,
    },
    ToolUnderTest {
        name: "amqp-move",
        command_line: cli::command_line::<cli::Move>,
    },
    ToolUnderTest {
        name: "amqp-publish",
        command_line: cli::command_line::<cli::Publish>,
    },
];

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("k8s/README.md")];
    let guides = fs::read_dir(root.join("docs")).unwrap();
    documents.extend(
        guides
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    documents
}

/// The lines of a Markdown text that are code: fenced or indented, continued lines joined.
fn code_lines(markdown: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut fenced = false;
    let mut continued = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let text = line.trim().trim_start_matches("$ ");
            let (text, goes_on) = match text.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (text, false),
            };
            match lines.last_mut() {
                Some(last) if continued => last.push_str(text),
                _ => lines.push(text.to_owned()),
            }
            continued = goes_on;
        }
    }
    lines
}

/// Parses each of our commands in a line of shell, and says how many there were.
fn check_line(line: &str, place: &str) -> usize {
    let Some(words) = shlex::split(&line.replace("$(", " ").replace("; ", " ; ")) else {
        return 0; // not a line of shell
    };
    let mut checked = 0;
    for (index, word) in words.iter().enumerate() {
        let name = word.strip_prefix("/usr/bin/").unwrap_or(word);
        let at_command = index == 0 || !words[index - 1].starts_with(['-', '/']);
        let Some(tool) = TOOLS.iter().find(|tool| tool.name == name && at_command) else {
            continue;
        };
        let arguments: Vec<&str> = words[index..]
            .iter()
            .map(String::as_str)
            .take_while(|word| !ends_arguments(word))
            .map(|word| word.trim_end_matches(')'))
            .collect();
        if let Err(error) = (tool.command_line)().try_get_matches_from(&arguments) {
            let help = error.exit_code() == 0;
            assert!(help, "{place}: {line}\n{error}");
        }
        checked += 1;
    }
    checked
}

fn ends_arguments(word: &str) -> bool {
    SEPARATORS.contains(&word) || word.starts_with(['<', '>', '#']) || word.starts_with("2>")
}
