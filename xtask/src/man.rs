//! `cargo xtask man`: the pages in `man/`, from the clap definitions, the examples of `--help`, and the narrative in
//! `xtask/man/`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_mangen::Man;

use crate::tools;

/// The page about all tools.
const OVERVIEW: &str = "amqp-tools";
const MANUAL: &str = "AMQP tools";
const SOURCE: &str = concat!("amqp-tools ", env!("CARGO_PKG_VERSION"));
/// The longest line of text in a page's source.
const WIDTH: usize = 78;
/// What `--help` puts before its examples.
const EXAMPLES_HEADING: &str = "Examples:";

/// Writes all pages into `man/`.
pub(crate) fn generate(root: &Path) -> Result<()> {
    let date = release_date(root)?;
    let folder = root.join("man");
    fs::create_dir_all(&folder)?;
    for command in tools::all() {
        let name = command.get_name().to_owned();
        let narrative = read(&narrative_path(root, &format!("{name}.1")))?;
        let page = page(command, &date, &narrative)?;
        fs::write(folder.join(format!("{name}.1")), page)?;
    }
    let overview = read(&narrative_path(root, "amqp-tools.7"))?;
    let title = format!(".TH AMQP-TOOLS 7 {date} \"{SOURCE}\" \"{MANUAL}\"\n");
    let page = [title, overview, see_also(OVERVIEW)].concat();
    fs::write(folder.join("amqp-tools.7"), tidy(&page))?;
    Ok(())
}

fn narrative_path(root: &Path, page: &str) -> std::path::PathBuf {
    root.join("xtask/man").join(page)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// The date of the newest entry in CHANGELOG.md (`## VERSION - DATE`), so that pages change with releases and not with the day.
fn release_date(root: &Path) -> Result<String> {
    let changelog = read(&root.join("CHANGELOG.md"))?;
    changelog
        .lines()
        .find_map(|line| line.strip_prefix("## ")?.split_once(" - "))
        .map(|(_, date)| date.trim().to_owned())
        .context("CHANGELOG.md has no '## VERSION - DATE'")
}

/// One tool's page: what clap knows, its examples, then the narrative.
fn page(mut command: Command, date: &str, narrative: &str) -> Result<String> {
    let examples = examples(&command)?;
    command.build();
    let others = see_also(command.get_name());
    let title = command.get_name().to_uppercase();
    let man = Man::new(command)
        .title(title)
        .date(date)
        .source(SOURCE)
        .manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let generated = String::from_utf8(page)?;
    let (before, after) = narrative
        .split_once(".\\\" EXAMPLES\n")
        .context("the narrative has no line '.\\\" EXAMPLES'")?;
    Ok(tidy(&format!(
        "{generated}{before}{examples}{after}{others}"
    )))
}

/// The section that names all pages but this.
fn see_also(page: &str) -> String {
    let tools = tools::all();
    let tools = tools.iter().map(|tool| (tool.get_name(), 1));
    let pages: Vec<String> = tools
        .chain([(OVERVIEW, 7)])
        .filter(|(name, _)| *name != page)
        .map(|(name, section)| format!(".BR {} ({section})", escape(name)))
        .collect();
    format!(".SH SEE ALSO\n{}\n", pages.join(",\n"))
}

/// The examples at the end of `--help` as a section: a `# comment` becomes a paragraph, a command an example.
fn examples(command: &Command) -> Result<String> {
    let text = command
        .get_after_help()
        .with_context(|| format!("{} has no examples", command.get_name()))?
        .to_string();
    let Some(lines) = text.trim_start().strip_prefix(EXAMPLES_HEADING) else {
        bail!(
            "the help of {} does not end in '{EXAMPLES_HEADING}'",
            command.get_name()
        );
    };
    let mut section = String::from(".SH EXAMPLES\n");
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (before, text, after) = match line.strip_prefix("# ") {
            Some(comment) => (".PP\n", comment, "\n"),
            None => (".RS 4\n.EX\n", line, "\n.EE\n.RE\n"),
        };
        section.extend([before, &escape(text), after]);
    }
    // A heading begins a paragraph itself.
    Ok(section.replacen("EXAMPLES\n.PP\n", "EXAMPLES\n", 1))
}

/// `text` for roff: backslashes and dashes as they are, no line taken for a request.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.chars().next() {
        Some('.' | '\'') => format!("\\&{text}"),
        _ => text,
    }
}

/// What `mandoc -T lint` asks of a page: no blank ends of lines, no empty lines, no break after a break, no long lines.
fn tidy(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut in_example = false;
    for line in page.lines().map(str::trim_end) {
        in_example = (in_example || line == ".EX") && line != ".EE";
        let repeated_break = line == ".br" && lines.last().is_some_and(|last| last == ".br");
        if line.is_empty() || repeated_break {
            continue;
        }
        if in_example || line.starts_with('.') {
            lines.push(line.to_owned());
        } else {
            fill(line, &mut lines);
        }
    }
    lines.join("\n") + "\n"
}

/// Breaks a line of text at blanks; no line may begin with what roff takes for a request.
fn fill(text: &str, lines: &mut Vec<String>) {
    let mut line = String::new();
    for word in text.split(' ') {
        let fits = line.len() + 1 + word.len() <= WIDTH;
        if line.is_empty() || fits || word.starts_with(['.', '\'']) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    lines.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_become_a_section() {
        let command =
            Command::new("t").after_help("Examples:\n  # All of -it:\n  amqp-get -q 'a\\b'\n");
        assert_eq!(
            examples(&command).unwrap(),
            ".SH EXAMPLES\nAll of \\-it:\n.RS 4\n.EX\namqp\\-get \\-q 'a\\eb'\n.EE\n.RE\n"
        );
    }

    #[test]
    fn help_without_examples_is_an_error() {
        assert!(examples(&Command::new("t")).is_err());
        assert!(examples(&Command::new("t").after_help("See also")).is_err());
    }

    #[test]
    fn long_lines_are_broken_but_not_in_examples() {
        let text = "word ".repeat(40);
        let tidied = tidy(&format!("{text}\n.EX\n{text}\n.EE\n"));
        let (prose, example) = tidied.split_once(".EX\n").unwrap();
        assert!(prose.lines().all(|line| line.len() <= WIDTH), "{prose}");
        assert_eq!(example, format!("{}\n.EE\n", text.trim_end()));
    }

    #[test]
    fn no_line_begins_a_request_by_accident() {
        assert_eq!(escape(".profile"), "\\&.profile");
    }
}
