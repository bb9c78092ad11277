//! The running commands.
//!
//! This is the only place that waits for children, so that no exit status gets lost. Orphans that the first process of a container
//! adopts are reaped too.

use std::collections::BTreeMap;

use rustix::process::{Pid, RawPid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use super::stdin::Feeder;
use crate::consume::run::{DeliveryId, Event, ToCommand};
use crate::status::Status;

/// The running commands.
#[derive(Default)]
pub(in crate::consume) struct Children(BTreeMap<RawPid, Child>);

struct Child {
    id: DeliveryId,
    /// Whether the tool has told it to end.
    is_stopped: bool,
    _feeder: Option<Feeder>,
}

impl Children {
    pub(in crate::consume) fn add(&mut self, id: DeliveryId, (pid, feeder): (Pid, Option<Feeder>)) {
        let child = Child {
            id,
            is_stopped: false,
            _feeder: feeder,
        };
        self.0.insert(pid.as_raw_pid(), child);
    }

    /// Reaps all children that have ended. Returns an event for each command among them.
    pub(in crate::consume) fn reap(&mut self) -> Vec<Event> {
        let mut ended = Vec::new();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if !status.exited() && !status.signaled() {
                continue;
            }
            if let Some(child) = self.0.remove(&pid.as_raw_pid()) {
                ended.push(end_of(pid, &child, status));
            }
        }
        ended
    }

    pub(in crate::consume) fn signal(&mut self, id: DeliveryId, signal: ToCommand) {
        let Some((pid, child)) = self.0.iter_mut().find(|(_, child)| child.id == id) else {
            return;
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

/// The event for a command that has ended. If the tool told it to end, or a signal killed it, the rest of its process group is
/// killed too: those processes would run beside the next attempt. The group's id is not in use again so soon.
fn end_of(pid: Pid, child: &Child, status: WaitStatus) -> Event {
    let signal = status.terminating_signal().unwrap_or(0);
    if child.is_stopped || signal != 0 {
        send(pid, Signal::KILL);
    }
    let status = match status.exit_status() {
        Some(code) => Status::exited(u8::try_from(code).unwrap_or(u8::MAX)),
        None => Status::signalled(signal),
    };
    Event::CommandEnded {
        id: child.id,
        status,
        signal,
    }
}

/// Sends a signal to a command's process group.
fn send(group: Pid, signal: Signal) {
    // The group may have ended, or run as another user by now. Nothing else can be done then.
    let _ = kill_process_group(group, signal);
}
