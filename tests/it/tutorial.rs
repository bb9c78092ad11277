//! The Kubernetes tutorial "Coarse Parallel Processing Using a Work Queue", as its readers paste it, and its Job.

use rustix::process::{Pid, kill_process};

use crate::support::{Ended, Running, Signal, Test, eventually};

const FRUIT: [&str; 8] = [
    "apple", "banana", "cherry", "date", "fig", "grape", "lemon", "melon",
];

#[test]
fn the_lines_work_as_pasted() {
    let test = Test::new();
    let pasted = |line| test.shell(line).without_env("AMQP_URL");
    pasted("amqp-declare-queue --url=$BROKER_URL -q {test} -d {test}")
        .stdout("{test}\n")
        .succeeds();
    pasted("amqp-publish --url=$BROKER_URL -r {test} -p -b Hello").succeeds();
    pasted("amqp-consume --url=$BROKER_URL -q {test} -c 1 cat && echo Hello")
        .stdout("HelloHello\n")
        .succeeds();
}

#[test]
fn the_worker_of_the_image_gets_its_task() {
    let test = Test::new();
    fill_the_queue(&test);
    test.script("worker.py", "echo \"Processing $(cat)\"");
    test.shell("amqp-consume --url=$BROKER_URL -q {job1} -c 1 ./worker.py")
        .stdout("Processing apple\n")
        .succeeds();
    test.queue("job1").holds(7);
}

/// Two workers at a time. The one with `banana` is killed with SIGKILL, the one with `cherry` fails once.
#[test]
fn no_task_is_lost_when_one_worker_is_killed_and_another_fails() {
    let test = Test::new();
    fill_the_queue(&test);
    test.script(
        "worker.sh",
        r#"task=$(cat)
        case $task in
            banana) mkdir banana 2>/dev/null && { echo $PPID $$ >pids; mv pids holding; exec sleep 1000; } ;;
            cherry) mkdir cherry 2>/dev/null && exit 3 ;;
        esac
        echo "$task" >>done.txt"#,
    );
    let mut pods = Pods {
        test: &test,
        running: Vec::new(),
        succeeded: 0,
        failed: 0,
        killed: 0,
    };
    pods.run_until_one_holds("holding");
    pods.kill_the_one_that_holds("holding");
    pods.run_until_all_have_succeeded();

    let mut done: Vec<String> = test.read("done.txt").lines().map(str::to_owned).collect();
    done.sort();
    assert_eq!(done, FRUIT);
    assert_eq!((pods.killed, pods.failed), (1, 1));
    test.queue("job1").holds(0);
}

fn fill_the_queue(test: &Test) {
    test.shell("amqp-declare-queue --url=$BROKER_URL -q {job1} -d")
        .stdout("{job1}\n")
        .succeeds();
    let fruit = FRUIT.join(" ");
    test.shell(&format!(
        "for f in {fruit}; do amqp-publish --url=$BROKER_URL -r {{job1}} -p -b $f; done"
    ))
    .succeeds();
}

/// A Job with `parallelism: 2`, and `completions` as many as there are tasks.
struct Pods<'t> {
    test: &'t Test,
    running: Vec<Running<'t>>,
    succeeded: usize,
    failed: usize,
    killed: usize,
}

impl Pods<'_> {
    fn run_until_one_holds(&mut self, file: &str) {
        eventually("a pod that holds its task", || {
            self.replace_what_has_ended();
            self.test.path(file).exists()
        });
    }

    fn run_until_all_have_succeeded(&mut self) {
        eventually("as many successes as tasks", || {
            self.replace_what_has_ended();
            self.running.is_empty()
        });
    }

    /// As when its node fails: the pod ends without a word, and its command with it.
    fn kill_the_one_that_holds(&mut self, file: &str) {
        let pids: Vec<i32> = self
            .test
            .read(file)
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect();
        for pid in pids {
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
    }

    fn settle(&mut self, pod: Running<'_>) {
        match pod.ends().ended {
            Ended::Exit(0) => self.succeeded += 1,
            Ended::Exit(_) => self.failed += 1,
            Ended::Signal(_) => self.killed += 1,
        }
    }

    fn replace_what_has_ended(&mut self) {
        for mut pod in std::mem::take(&mut self.running) {
            if pod.has_ended() {
                self.settle(pod);
            } else {
                self.running.push(pod);
            }
        }
        while self.running.len() < 2 && self.succeeded + self.running.len() < FRUIT.len() {
            let worker = "amqp-consume --url=$BROKER_URL -q {job1} -c 1 ./worker.sh";
            self.running.push(
                self.test
                    .shell(&format!("exec {worker}"))
                    .any_stderr()
                    .spawn(),
            );
        }
    }
}
