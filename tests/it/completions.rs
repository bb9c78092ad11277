//! The completion scripts, tried in the shells themselves: TAB is typed, and Enter, and the shell tells what the line became.

use std::path::Path;
use std::process::Command;

use crate::support::{Terminal, Test};

/// What the shells complete from, in the test's folder: the only commands that begin so, and a file.
const COMMAND: &str = "frobnicate";
const FILE: &str = "the-job-log";

const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

/// What is typed before TAB, and what the arguments are then.
const LINES: [(&str, &str); 12] = [
    ("amqp-consume --on-f", "<--on-failure>"),
    ("amqp-consume --on-failure=req", "<--on-failure=requeue>"),
    ("amqp-consume --on-failure rej", "<--on-failure><reject>"),
    ("amqp-consume --joblog the-", "<--joblog><the-job-log>"),
    ("amqp-consume --joblog=the-", "<--joblog=the-job-log>"),
    ("amqp-consume frobn", "<frobnicate>"),
    (
        "amqp-consume -u amqp://h:1/ -Aq x -c 1 frobn",
        "<-u><amqp://h:1/><-Aq><x><-c><1><frobnicate>",
    ),
    ("amqp-consume -q x -- frobn", "<-q><x><--><frobnicate>"),
    (
        "amqp-consume -q x frobnicate --on-f",
        "<-q><x><frobnicate><--on-f>",
    ),
    (
        "amqp-consume -q x frobnicate the-",
        "<-q><x><frobnicate><the-job-log>",
    ),
    (
        "amqp-publish -r q --jsonl the-",
        "<-r><q><--jsonl><the-job-log>",
    ),
    (
        "amqp-declare-queue --queue-type quo",
        "<--queue-type><quorum>",
    ),
];

/// A shell that is installed, or `None` and a word about it.
fn installed(shell: &str) -> Option<String> {
    let path = format!("/usr/bin/{shell}");
    if Path::new(&path).exists() {
        return Some(path);
    }
    println!("skipped: {shell} is not installed");
    None
}

fn scripts(shell: &str) -> String {
    format!("{}/completions/{shell}", env!("CARGO_MANIFEST_DIR"))
}

/// Types each line in the shell, which has the tools as functions that print their arguments.
fn try_all(start: &str, environment: &[(&str, &str)], set_up: &str) {
    let test = Test::on("amqp://localhost"); // which nothing connects to
    test.script(COMMAND, "");
    test.file(FILE, "");
    let mut shell = Terminal::start(&test, 200, start, environment);
    shell.types(set_up);
    shell.types("\recho re''ady\r");
    shell.shows("ready\r\n");
    for (typed, arguments) in LINES {
        shell.types(&format!("{typed}\t\r"));
        shell.shows(&format!("{arguments}:end\r\n"));
    }
}

#[test]
fn bash_completes_what_was_meant() {
    let Some(bash) = installed("bash") else {
        return;
    };
    let scripts = scripts("bash");
    let package = format!("source {BASH_COMPLETION};");
    let mut packages = vec![""];
    if Path::new(BASH_COMPLETION).exists() {
        packages.push(&package);
    }
    for package in packages {
        let set_up = format!(
            "{package} for tool in {scripts}/*; do source $tool; \
             eval \"${{tool##*/}}() {{ printf '<%s>' \\\"\\$@\\\"; echo :end; }}\"; done; PATH=$PWD:$PATH"
        );
        try_all(&format!("{bash} --norc --noprofile -i"), &[], &set_up);
    }
}

#[test]
fn zsh_completes_what_was_meant() {
    let Some(zsh) = installed("zsh") else { return };
    let scripts = scripts("zsh");
    let set_up = format!(
        "fpath=({scripts} $fpath); autoload -Uz compinit; compinit -u -d dump; PATH=$PWD:$PATH; \
         for tool in {scripts}/*; do eval \"${{${{tool:t}}#_}}() {{ printf '<%s>' \\\"\\$@\\\"; echo :end; }}\"; done"
    );
    try_all(&format!("{zsh} -f -i"), &[], &set_up);
}

#[test]
fn fish_completes_what_was_meant() {
    let Some(fish) = installed("fish") else {
        return;
    };
    let scripts = scripts("fish");
    let set_up = format!(
        "for tool in {scripts}/*; source $tool; \
         eval 'function '(basename $tool .fish)'; printf \"<%s>\" $argv; echo :end; end'; end; set PATH $PWD $PATH"
    );
    try_all(&format!("{fish} --no-config --interactive"), &[], &set_up);
}

/// No script prints anything when it is loaded.
#[test]
fn scripts_load_in_silence() {
    let loops = [
        ("bash", "for file in FOLDER/*; do source $file; done"),
        (
            "zsh",
            "autoload -Uz compinit; compinit -D; for file in FOLDER/*; do source $file; done",
        ),
        ("fish", "for file in FOLDER/*; source $file; end"),
    ];
    for (shell, script) in loops {
        let Some(path) = installed(shell) else {
            continue;
        };
        let script = script.replace("FOLDER", &scripts(shell));
        let output = Command::new(path).args(["-c", &script]).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&printed), "", "{shell}");
    }
}
