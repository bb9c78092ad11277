//! The running commands.
//!
//! This is the only place that waits for children, so that no exit status gets lost. Orphans that the first process of a container
//! adopts are reaped too.

use std::collections::BTreeMap;

use rustix::process::{Pid, RawPid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::stdin::Feeder;
use crate::consume::output::{Collected, Collector};
use crate::consume::run::{DeliveryId, ToCommand};
use crate::status::Status;

/// The running commands.
#[derive(Default)]
pub(in crate::consume) struct Children {
    running: BTreeMap<RawPid, Child>,
    /// Those that have ended, and whose output is not complete, by the numbers of the commands.
    incomplete: BTreeMap<u64, Incomplete>,
}

struct Child {
    id: DeliveryId,
    /// Whether the tool has told it to end.
    is_stopped: bool,
    _feeder: Option<Feeder>,
    output: ChildOutput,
}

/// What a command writes.
pub(in crate::consume) enum ChildOutput {
    /// That is nobody's concern.
    Inherited,
    /// It is being collected, for the command of this number.
    Pending(u64, Collector),
    /// It is complete.
    Complete(Collected),
}

/// A command that has ended before its output is complete.
struct Incomplete {
    ended: EndedChild,
    /// Absent once nobody is waited for.
    collector: Option<Collector>,
}

/// A command that ended.
pub(in crate::consume) struct EndedChild {
    pub(in crate::consume) id: DeliveryId,
    pub(in crate::consume) status: Status,
    /// The signal that ended it, or 0.
    pub(in crate::consume) signal: i32,
    /// What it wrote, where that is collected.
    pub(in crate::consume) collected: Option<Collected>,
}

impl Children {
    pub(in crate::consume) fn add(
        &mut self,
        id: DeliveryId,
        (pid, feeder): (Pid, Option<Feeder>),
        output: ChildOutput,
    ) {
        let child = Child {
            id,
            is_stopped: false,
            _feeder: feeder,
            output,
        };
        self.running.insert(pid.as_raw_pid(), child);
    }

    /// Reaps all children that have ended. Returns the commands among them whose output is complete.
    pub(in crate::consume) fn reap(&mut self) -> Vec<EndedChild> {
        let mut ended = Vec::new();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if !status.exited() && !status.signaled() {
                continue;
            }
            if let Some(child) = self.running.remove(&pid.as_raw_pid()) {
                ended.extend(self.end(pid, child, status));
            }
        }
        ended
    }

    fn end(&mut self, pid: Pid, child: Child, status: WaitStatus) -> Option<EndedChild> {
        let mut ended = end_of(pid, &child, status);
        match child.output {
            ChildOutput::Inherited => Some(ended),
            ChildOutput::Complete(collected) => {
                ended.collected = Some(collected);
                Some(ended)
            }
            ChildOutput::Pending(number, mut collector) => {
                collector.end();
                let incomplete = Incomplete {
                    ended,
                    // Whoever told the command to end does not wait for those that read its output either.
                    collector: (!child.is_stopped).then_some(collector),
                };
                self.incomplete.insert(number, incomplete);
                None
            }
        }
    }

    /// The output of a command is complete. How it ended, if it has.
    pub(in crate::consume) fn complete(&mut self, collected: Collected) -> Option<EndedChild> {
        if let Some(incomplete) = self.incomplete.remove(&collected.number) {
            return Some(EndedChild {
                collected: Some(collected),
                ..incomplete.ended
            });
        }
        let is_its = |output: &ChildOutput| matches!(output, ChildOutput::Pending(number, _) if *number == collected.number);
        let child = self
            .running
            .values_mut()
            .find(|child| is_its(&child.output))?;
        child.output = ChildOutput::Complete(collected);
        None
    }

    pub(in crate::consume) fn signal(&mut self, id: DeliveryId, signal: ToCommand) {
        let Some((pid, child)) = self.running.iter_mut().find(|(_, child)| child.id == id) else {
            return self.give_up(id, signal);
        };
        let Some(group) = Pid::from_raw(*pid) else {
            return;
        };
        child.is_stopped |= !matches!(signal, ToCommand::Pass(_));
        match signal {
            ToCommand::Terminate => {
                send(group, Signal::TERM);
                // A stopped process handles SIGTERM only after SIGCONT.
                send(group, Signal::CONT);
            }
            ToCommand::Kill => send(group, Signal::KILL),
            ToCommand::Pass(number) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    send(group, signal);
                }
            }
        }
    }
}

impl Children {
    /// The command has ended; the end of the run does not wait any more for the readers of its output.
    fn give_up(&mut self, id: DeliveryId, signal: ToCommand) {
        if matches!(signal, ToCommand::Pass(_)) {
            return;
        }
        let its = self
            .incomplete
            .values_mut()
            .filter(|one| one.ended.id == id);
        its.for_each(|one| one.collector = None);
    }
}

/// The end of a command. If the tool told it to end, or a signal killed it, the rest of its process group is killed too: those
/// processes would run beside the next attempt. The group's id is not in use again so soon.
fn end_of(pid: Pid, child: &Child, status: WaitStatus) -> EndedChild {
    let signal = status.terminating_signal().unwrap_or(0);
    if child.is_stopped || signal != 0 {
        send(pid, Signal::KILL);
    }
    let status = match status.exit_status() {
        Some(code) => Status::exited(u8::try_from(code).unwrap_or(u8::MAX)),
        None => Status::signalled(signal),
    };
    EndedChild {
        id: child.id,
        status,
        signal,
        collected: None,
    }
}

/// Sends a signal to a command's process group.
fn send(group: Pid, signal: Signal) {
    // The group may have ended, or run as another user by now. Nothing else can be done then.
    let _ = kill_process_group(group, signal);
}
