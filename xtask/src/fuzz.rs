//! `cargo xtask fuzz [SECONDS] [TARGET...]`: runs the fuzz targets for so long each, from the committed corpus on.
//!
//! It needs nightly Rust and a C++ compiler, and says so where there is none. What is found goes to `target/fuzz`, which
//! also has the corpus as it grows; inputs worth keeping are copied to `fuzz/corpus` by hand.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

const TARGETS: [&str; 5] = ["url", "incoming", "envelope", "authfile", "records"];
const SECONDS: u32 = 30;

/// Coverage as libFuzzer needs it (<https://llvm.org/docs/LibFuzzer.html>), and comparisons to learn from.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// Runs the targets named in `arguments`, or all of them.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if !works(&mut nightly()) {
        println!("fuzzing skipped: it needs nightly Rust (rustup toolchain install nightly)");
        return Ok(());
    }
    if !works(&mut Command::new("c++")) {
        println!("fuzzing skipped: it needs a C++ compiler, since libFuzzer is written in that");
        return Ok(());
    }
    let (seconds, names) = match arguments.split_first() {
        Some((first, rest)) => match first.parse() {
            Ok(seconds) => (seconds, rest),
            Err(_) => (SECONDS, arguments),
        },
        None => (SECONDS, arguments),
    };
    if let Some(unknown) = names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        bail!("no fuzz target {unknown}; there are {}", TARGETS.join(", "));
    }
    let host = host()?;
    let folder = root.join("target/fuzz");
    build(root, &folder, &host)?;
    TARGETS
        .into_iter()
        .filter(|target| names.is_empty() || names.iter().any(|name| name == target))
        .try_for_each(|target| {
            let program = folder.join(&host).join("release").join(target);
            fuzz(root, &folder, &program, target, seconds)
        })
}

/// Whether there is that program, and it can say its version.
fn works(program: &mut Command) -> bool {
    program
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Cargo of the nightly toolchain. What cargo has set for this task must not choose another.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly");
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

/// The machine's own target. Named to cargo, it keeps build scripts free of the fuzzer's flags.
fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("running rustc")?;
    String::from_utf8(output.stdout)?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc does not say what machine this is")
}

fn build(root: &Path, folder: &Path, host: &str) -> Result<()> {
    let status = nightly()
        .args(["build", "--release", "--bins", "--target", host])
        .arg("--manifest-path")
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(folder)
        .env("RUSTFLAGS", FLAGS)
        .status()
        .context("running cargo")?;
    ensure!(status.success(), "the fuzz targets do not build");
    Ok(())
}

fn fuzz(root: &Path, folder: &Path, program: &Path, target: &str, seconds: u32) -> Result<()> {
    let grown = folder.join("corpus").join(target);
    let found = folder.join("found");
    fs::create_dir_all(&grown)?;
    fs::create_dir_all(&found)?;
    let log = folder.join(format!("{target}.log"));
    let began = Instant::now();
    let status = Command::new(program)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", found.display()))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=512"])
        .arg(&grown) // the first is written to, the others are only read
        .arg(root.join("fuzz/corpus").join(target))
        .stderr(fs::File::create(&log)?)
        .status()
        .with_context(|| format!("running {}", program.display()))?;
    let report = fs::read_to_string(&log)?;
    if !status.success() {
        let end: Vec<&str> = report.lines().rev().take(40).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        bail!(
            "{target} failed on an input in {}:\n{}",
            found.display(),
            end.join("\n")
        );
    }
    let inputs = statistic(&report, "stat::number_of_executed_units:").unwrap_or("?");
    println!(
        "{target}: {inputs} inputs in {:.0?}, nothing found",
        began.elapsed()
    );
    Ok(())
}

fn statistic<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    report
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}
