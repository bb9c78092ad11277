//! Messages to standard output, a line of JSON each. By a thread: whoever reads the lines may take his time, and the tool
//! must hear of signals meanwhile.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::task::Task;
use crate::doorbell::{Doorbell, Messenger};
use crate::envelope;

/// How many bytes are written at once, at least, while there are lines.
const BATCH: usize = 64 * 1024;

/// The thread, and the messages whose lines it writes.
pub(super) struct Printer {
    doorbell: Doorbell,
    thread: Option<Lines>,
    in_hand: VecDeque<Task>,
}

struct Lines {
    lines: Sender<String>,
    written: Receiver<io::Result<()>>,
}

impl Printer {
    /// The doorbell is rung for each line that is written.
    pub(super) fn new(doorbell: Doorbell) -> Printer {
        Printer {
            doorbell,
            thread: None,
            in_hand: VecDeque::new(),
        }
    }

    /// Has a message's line written; [`Printer::next_result`] tells when it is.
    pub(super) fn print(&mut self, mut task: Task) -> io::Result<()> {
        let line = line(&mut task);
        self.in_hand.push_back(task);
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(start(&self.doorbell)?),
        };
        // If the thread has ended, it has said why.
        let _ = thread.lines.send(line);
        Ok(())
    }

    /// One result for each line, in their order, without waiting.
    pub(super) fn next_result(&self) -> Option<io::Result<()>> {
        match self.thread.as_ref()?.written.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The message whose line was just written.
    pub(super) fn next_written(&mut self) -> Option<Task> {
        self.in_hand.pop_front()
    }

    /// Waits for no more lines. Gives the messages whose lines are not known to be written.
    pub(super) fn give_up(&mut self) -> Vec<Task> {
        self.thread = None;
        self.in_hand.drain(..).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.in_hand.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_hand.is_empty()
    }

    /// The connection is gone, and with it the claim to the messages. Says for how many that is news.
    pub(super) fn lose_claims(&mut self) -> usize {
        let lost = self.in_hand.iter_mut().map(Task::lose_claim);
        lost.filter(|lost| *lost).count()
    }
}

/// The message's line. Its body is needed no longer.
fn line(task: &mut Task) -> String {
    let redelivered = Some(task.redelivered);
    let body = std::mem::take(&mut task.body);
    task.message.body = std::sync::Arc::unwrap_or_clone(body);
    let line = envelope::to_json_line(&task.message, redelivered) + "\n";
    task.message.body = Vec::new();
    line
}

fn start(doorbell: &Doorbell) -> io::Result<Lines> {
    let (lines, to_write) = unbounded::<String>();
    let (results, written) = Messenger::to(doorbell);
    thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(move || write_all(&to_write, &results))?;
    Ok(Lines { lines, written })
}

fn write_all(lines: &Receiver<String>, results: &Messenger<io::Result<()>>) {
    while let Ok(mut batch) = lines.recv() {
        let mut count = 1;
        while batch.len() < BATCH
            && let Ok(line) = lines.try_recv()
        {
            batch += &line;
            count += 1;
        }
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(batch.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Ok(()) => (0..count).for_each(|_| drop(results.send(Ok(())))),
            Err(error) => {
                let _ = results.send(Err(error));
                return;
            }
        }
    }
}
