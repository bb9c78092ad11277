//! Kubernetes' tutorial on work queues, line by line.

use anyhow::{Result, ensure};

use super::ground::{BROKER_URL, Ground};
use crate::image::build::{DEBUG, TOOLS};
use crate::image::docker::docker_fed;

/// What a reader types into the temporary pod before there are tasks.
const LOOK_AROUND: &str = "\
nslookup rabbitmq-service
env | grep RABBITMQ_SERVICE | grep HOST
";

/// What a reader types to see that the queue works, and to fill it.
pub(super) const TOOL_LINES: &str = "\
export BROKER_URL=amqp://guest:guest@rabbitmq-service:5672
/usr/bin/amqp-declare-queue --url=$BROKER_URL -q foo -d
/usr/bin/amqp-publish --url=$BROKER_URL -r foo -p -b Hello
/usr/bin/amqp-consume --url=$BROKER_URL -q foo -c 1 cat && echo 1>&2
/usr/bin/amqp-declare-queue --url=$BROKER_URL -q job1  -d
for f in apple banana cherry date fig grape lemon melon
do
  /usr/bin/amqp-publish --url=$BROKER_URL -r job1 -p -b $f
done
";

/// The lines in the debug pod's own shell, which gets them as from a terminal's clipboard: on its standard input.
pub(super) fn as_pasted(ground: &Ground) -> Result<()> {
    forget(ground)?;
    let pod = ground.container(&["--interactive"], DEBUG, &[])?;
    let printed = docker_fed(
        &["start", "--attach", "--interactive", pod.id()],
        &format!("{LOOK_AROUND}{TOOL_LINES}"),
    )?;
    let expected = "RABBITMQ_SERVICE_SERVICE_HOST=rabbitmq-service\nfoo\nHellojob1\n";
    ensure!(
        printed.contains("Name:\trabbitmq-service.default.svc.cluster.local"),
        "nslookup: {printed}"
    );
    ensure!(printed.ends_with(expected), "printed: {printed}");
    filled(ground)
}

/// The queues as they are before the tutorial.
pub(super) fn forget(ground: &Ground) -> Result<()> {
    ground
        .sh("amqp-delete-queue -q foo; amqp-delete-queue -q job1")
        .map(drop)
}

/// The queues as they are after it.
pub(super) fn filled(ground: &Ground) -> Result<()> {
    ground.is_empty("foo")?;
    let (messages, _) = ground.depth("job1")?;
    ensure!(messages == 8, "{messages} tasks in job1");
    let tasks = ground.sh("for n in 1 2 3 4 5 6 7 8; do amqp-get -q job1; echo; done")?;
    ensure!(
        tasks == "apple\nbanana\ncherry\ndate\nfig\ngrape\nlemon\nmelon",
        "tasks: {tasks}"
    );
    Ok(())
}

/// Static binaries bring their own resolver: it must know search domains, as a pod's short names need them.
pub(super) fn from_scratch(ground: &Ground) -> Result<()> {
    ground.sh("amqp-delete-queue -q scratch")?;
    let url = format!("--url={BROKER_URL}");
    let container = ground.container(
        &[],
        TOOLS,
        &["/usr/bin/amqp-declare-queue", &url, "-d", "scratch"],
    )?;
    let status = container.run()?;
    let printed = container.logs()?;
    ensure!(
        status == 0 && printed == "scratch\n",
        "ended with {status}: {printed}"
    );
    ground.is_empty("scratch")
}
