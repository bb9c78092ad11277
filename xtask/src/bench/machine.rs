//! The machine that the figures were taken on, and how quiet it was.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::results::Fact;
use super::tools::{fact, first_line};

/// Processors, memory, kernel.
pub(crate) fn facts() -> Vec<Fact> {
    let processor = field(Path::new("/proc/cpuinfo"), "model name");
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = field(Path::new("/proc/meminfo"), "MemTotal");
    let system = field(Path::new("/etc/os-release"), "PRETTY_NAME");
    vec![
        fact(
            "processors",
            processor.map(|model| format!("{count} x {model}")),
        ),
        fact("memory", memory),
        fact("kernel", first_line(Command::new("uname").args(["-srm"]))),
        fact("system", system),
        fact(
            "virtual machine",
            first_line(Command::new("systemd-detect-virt").arg("--vm")),
        ),
    ]
}

/// Today, in UTC, as `2026-01-31`.
pub(crate) fn today() -> Option<String> {
    first_line(Command::new("date").args(["-u", "+%F"]))
}

/// Looks on for a while and gives the share of all processors' time that was idle, from 0 to 1.
pub(crate) fn idle_share() -> f64 {
    let before = processor_times();
    sleep(Duration::from_secs(3));
    let after = processor_times();
    let spent: Vec<f64> = after
        .iter()
        .zip(&before)
        .map(|(late, early)| late - early)
        .collect();
    // user, nice, system, idle, waiting for a disk, ...
    let idle: f64 = spent.iter().skip(3).take(2).sum();
    idle / spent.iter().sum::<f64>()
}

fn processor_times() -> Vec<f64> {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = text.lines().next().unwrap_or_default().split_whitespace();
    all.skip(1)
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The value of `name: value` or `name="value"` in a file of such lines.
fn field(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once([':', '='])?;
    Some(value.trim().trim_matches('"').to_owned())
}
