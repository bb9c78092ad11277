//! The Debian mirror that this machine's apt uses.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What apt's sources say of one place: a repository may serve several suites.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
}

/// The mirror that `DEBIAN_MIRROR` names, or else the one among apt's sources that serves this Debian.
pub(crate) fn mirror() -> Result<String> {
    if let Some(named) = env::var("DEBIAN_MIRROR").ok().filter(|uri| !uri.is_empty()) {
        return Ok(named);
    }
    let system = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let codename = system
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("this system is not a release of Debian; DEBIAN_MIRROR can name a mirror")?;
    choose(&all(Path::new("/etc/apt")), codename.trim_matches('"'))
        .context("no Debian mirror among apt's sources; DEBIAN_MIRROR can name one")
}

/// All sources, in the order of the files' names.
fn all(folder: &Path) -> Vec<Source> {
    let parts = fs::read_dir(folder.join("sources.list.d"))
        .into_iter()
        .flatten();
    let mut files: Vec<PathBuf> = parts.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.insert(0, folder.join("sources.list"));
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension()?.to_str()? {
            "list" => Some(one_line_sources(&text)),
            "sources" => Some(deb822_sources(&text)),
            _ => None,
        }
    };
    files.into_iter().filter_map(read).flatten().collect()
}

/// Others have packages for this Debian too, under the same name of the suite. Debian itself has updates beside them, and a
/// mirror's path usually ends as Debian's own does.
fn choose(sources: &[Source], codename: &str) -> Option<String> {
    let updates = format!("{codename}-updates");
    let serves = |uri: &str, suite: &str| {
        sources
            .iter()
            .any(|source| source.uri == uri && source.suites.iter().any(|name| name == suite))
    };
    let candidates: Vec<&str> = sources
        .iter()
        .filter(|source| source.components.iter().any(|name| name == "main"))
        .map(|source| source.uri.as_str())
        .filter(|uri| serves(uri, codename) && debootstrap_can_read(uri))
        .collect();
    let with_updates = candidates.iter().find(|uri| serves(uri, &updates));
    let by_path = || {
        candidates
            .iter()
            .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
    };
    with_updates
        .or_else(by_path)
        .or(candidates.first())
        .map(|uri| (*uri).to_owned())
}

fn debootstrap_can_read(uri: &str) -> bool {
    ["http://", "https://", "file:/"]
        .iter()
        .any(|scheme| uri.starts_with(scheme))
}

/// `deb [option=value ...] URI SUITE COMPONENT...`, a line each.
fn one_line_sources(text: &str) -> Vec<Source> {
    let parse = |line: &str| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let code = rest.split('#').next()?;
        let mut words = code.split_whitespace().map(str::to_owned);
        Some(Source {
            uri: words.next()?,
            suites: vec![words.next()?],
            components: words.collect(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// Paragraphs of fields, a place for each of a paragraph's URIs.
fn deb822_sources(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.trim().is_empty())
        .flat_map(paragraph)
        .collect()
}

fn paragraph(lines: &[&str]) -> Vec<Source> {
    let words = |name: &str| field(lines, name);
    let enabled = words("Enabled").first().is_none_or(|word| word != "no");
    if !enabled || !words("Types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let source = |uri| Source {
        uri,
        suites: words("Suites"),
        components: words("Components"),
    };
    words("URIs").into_iter().map(source).collect()
}

/// The words of one field, which may go on in lines that begin with a space.
fn field(lines: &[&str], name: &str) -> Vec<String> {
    let is_named = |line: &&str| {
        line.split_once(':')
            .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
    };
    let Some(start) = lines.iter().position(is_named) else {
        return Vec::new();
    };
    let first = lines[start].split_once(':').map_or("", |(_, value)| value);
    let rest = lines[start + 1..]
        .iter()
        .take_while(|line| line.starts_with([' ', '\t']));
    std::iter::once(first)
        .chain(rest.copied())
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str], components: &[&str]) -> Source {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Source {
            uri: uri.to_owned(),
            suites: owned(suites),
            components: owned(components),
        }
    }

    #[test]
    fn lines_with_and_without_options() {
        let text = "# deb http://no.example/debian sid main\n\
                    deb http://one.example/debian bookworm main contrib # ours\n\
                    deb-src http://one.example/debian bookworm main\n\
                    deb\t[arch=amd64 signed-by=/a/key.gpg] https://two.example stable main\n";
        let expected = [
            source(
                "http://one.example/debian",
                &["bookworm"],
                &["main", "contrib"],
            ),
            source("https://two.example", &["stable"], &["main"]),
        ];
        assert_eq!(one_line_sources(text), expected);
    }

    #[test]
    fn paragraphs_with_comments_continued_lines_and_what_is_switched_off() {
        let text = "Types: deb deb-src\n\
                    # a comment\n\
                    URIs: http://one.example/debian\n https://two.example/debian\n\
                    suites: bookworm\n bookworm-updates\n\
                    Components: main\n\
                    \n\
                    Types: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\nEnabled: no\n\
                    \n\
                    Types: deb-src\nURIs: http://sources.example\nSuites: bookworm\nComponents: main\n";
        let suites = ["bookworm", "bookworm-updates"];
        let expected = [
            source("http://one.example/debian", &suites, &["main"]),
            source("https://two.example/debian", &suites, &["main"]),
        ];
        assert_eq!(deb822_sources(text), expected);
    }

    #[test]
    fn the_mirror_is_the_one_of_this_debian() {
        let others = [
            source("https://vendor.example/apt", &["bookworm"], &["main"]),
            source(
                "https://engine.example/linux/debian",
                &["bookworm"],
                &["stable"],
            ),
            source("mirror+file:/list", &["bookworm"], &["main"]),
        ];
        let with = |more: &[Source]| choose(&[&others, more].concat(), "bookworm");
        let updated = [
            source("http://a.example/pool", &["bookworm"], &["main"]),
            source("http://a.example/pool", &["bookworm-updates"], &["main"]),
        ];
        assert_eq!(with(&updated).as_deref(), Some("http://a.example/pool"));
        let by_path = [source("http://b.example/debian/", &["bookworm"], &["main"])];
        assert_eq!(with(&by_path).as_deref(), Some("http://b.example/debian/"));
        assert_eq!(with(&[]).as_deref(), Some("https://vendor.example/apt"));
        assert_eq!(choose(&others, "trixie"), None);
    }
}
