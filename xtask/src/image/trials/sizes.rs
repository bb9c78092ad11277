//! What the images hold, how large they are, and what they need.

use anyhow::{Result, ensure};

use super::ground::Ground;
use crate::dist::{MULTI_CALL, TOOLS as TOOL_NAMES};
use crate::image::base::BOOKWORM;
use crate::image::build::{TOOLS, WORKER};
use crate::image::docker::{docker, image_size};

const MIB: u64 = 1024 * 1024;
/// `tools` below 12 MiB, `worker` at most 15 MiB above its base.
pub(super) fn within_bounds(_: &Ground) -> Result<()> {
    let tools = image_size(TOOLS)?;
    let added = image_size(WORKER)? - image_size(BOOKWORM)?;
    println!("        tools {tools} bytes, worker {added} bytes above its base");
    ensure!(tools < 12 * MIB, "the tools image has {tools} bytes");
    ensure!(
        added <= 15 * MIB,
        "the worker image has {added} bytes more than its base"
    );
    Ok(())
}

/// The tools, the certificates, and nothing else.
pub(super) fn tools_hold_what_they_say(ground: &Ground) -> Result<()> {
    let container = ground.container(&[], TOOLS, &["/usr/bin/amqp-get", "--version"])?;
    let mut files = container.files()?;
    files.retain(|path| !of_dockers_own(path));
    files.sort();
    let tools = TOOL_NAMES.map(|name| format!("usr/bin/{name}"));
    let mut expected = vec!["etc/ssl/certs/ca-certificates.crt".to_owned()];
    expected.extend(tools);
    expected.push(format!("usr/bin/{MULTI_CALL}"));
    expected.sort();
    ensure!(files == expected, "in it: {files:?}");
    Ok(())
}

/// Files that Docker lays into every container.
fn of_dockers_own(path: &str) -> bool {
    [
        ".dockerenv",
        "dev/console",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
    ]
    .contains(&path)
}

/// As a restricted namespace runs it: no root, no capabilities, nothing to write to. And no entrypoint in the way.
pub(super) fn worker_is_unprivileged(ground: &Ground) -> Result<()> {
    ground.fresh_queue("unprivileged")?;
    ground.sh("amqp-publish -r unprivileged -b hello")?;
    let restricted = [
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ];
    let script = "id -u && amqp-consume -q unprivileged -c 1 cat";
    let container = ground.container(&restricted, WORKER, &["sh", "-c", script])?;
    let status = container.run()?;
    let printed = container.logs()?;
    ensure!(
        status == 0 && printed == "10001\nhello",
        "ended with {status}: {printed}"
    );
    let entrypoint = docker(&[
        "image",
        "inspect",
        "--format",
        "{{json .Config.Entrypoint}} {{.Config.User}}",
        WORKER,
    ])?;
    ensure!(
        entrypoint == "null 10001:10001",
        "entrypoint and user: {entrypoint}"
    );
    Ok(())
}
