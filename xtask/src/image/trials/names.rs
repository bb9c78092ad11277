//! A broker's name in all the ways that a container comes by one. The static binary brings its own resolver, which must
//! find what the system's would, and must survive what a system's configuration says about modules it has no part in.

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::ground::Ground;
use crate::image::base::TRIXIE;
use crate::image::build::TOOLS;
use crate::image::docker::Container;
use crate::image::pod::DOMAIN;

/// What makes a Debian 13 look names up by modules: each of these packages puts its own into nsswitch.conf, before DNS.
const MODULES: &str = "
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o Acquire::Retries=3 update
apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends libnss-mdns libnss-myhostname libnss-mymachines libnss-resolve
grep -q '^hosts:.*mdns4_minimal.*resolve.*dns' /etc/nsswitch.conf
";

/// The tools leave the modules alone (a static program dies of them), and find every kind of name.
pub(super) fn beside_modules(ground: &Ground) -> Result<()> {
    let address = ground.broker().address()?;
    let known = format!("--add-host=broker.example:{address}");
    let debian = ground.container(&[&known], TRIXIE, &["sleep", "infinity"])?;
    debian.start()?;
    debian.exec(&["sh", "-euc", MODULES])?;
    bring_tools(ground, &debian)?;

    let names = [
        // By the resolver's search list, as a pod's neighbours are found.
        "rabbitmq-service".to_owned(),
        // In full, with and without the dot that ends a search before it begins.
        format!("rabbitmq-service.{DOMAIN}"),
        format!("rabbitmq-service.{DOMAIN}."),
        // By Docker's own name for the container.
        ground.broker().id().chars().take(12).collect(),
        // From /etc/hosts.
        "broker.example".to_owned(),
        address,
    ];
    for name in names {
        let url = format!("--url=amqp://guest:guest@{name}");
        let printed = debian
            .exec(&["amqp-declare-queue", &url, "-d", "names"])
            .with_context(|| format!("the broker as {name}"))?;
        ensure!(printed == "names", "the broker as {name}: {printed}");
    }
    ground.is_empty("names")?;
    unknown(&debian)
}

/// A name that nobody knows is an error that says so, and so is one of multicast DNS, where nobody answers.
fn unknown(debian: &Container) -> Result<()> {
    for name in ["no-such-service", "printer.local"] {
        let line = format!("amqp-get -s {name} -q names 2>&1; echo status $?");
        let printed = debian.exec(&["sh", "-c", &format!("unset AMQP_URL; {line}")])?;
        let expected = format!("opening socket to {name}:5672: ");
        ensure!(
            printed.starts_with(&expected) && printed.ends_with("\nstatus 1"),
            "{name}: {printed}"
        );
    }
    Ok(())
}

/// Lays the tools image's binaries into a container.
fn bring_tools(ground: &Ground, container: &Container) -> Result<()> {
    let tools = ground.container(&[], TOOLS, &["/usr/bin/amqp-get", "--version"])?;
    let folder = TempDir::new()?;
    tools.copy_out("/usr/bin/.", folder.path())?;
    container.copy_in(&folder.path().join("."), "/usr/bin/")
}
