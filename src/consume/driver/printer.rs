//! Messages on standard output, one line of JSON each. A thread writes them, since a slow reader must not keep the loop from
//! signals.

use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::consume::run::DeliveryId;
use crate::system::waker::{Waker, WakingSender};

/// How many bytes are written at once, at least, while there are lines.
const BATCH: usize = 64 * 1024;

pub(super) struct Printer {
    waker: Waker,
    /// Absent until there is something to write.
    thread: Option<Thread>,
}

/// Lines to the thread, and the ids of written lines from it.
type Thread = (
    Sender<(DeliveryId, String)>,
    Receiver<io::Result<DeliveryId>>,
);

impl Printer {
    pub(super) fn new(waker: Waker) -> Printer {
        Printer {
            waker,
            thread: None,
        }
    }

    /// Has a line written.
    pub(super) fn print(&mut self, id: DeliveryId, line: String) -> io::Result<()> {
        let (lines, _) = if let Some(thread) = &self.thread {
            thread
        } else {
            let (lines, to_write) = unbounded();
            let (results, written) = WakingSender::new(&self.waker);
            thread::Builder::new()
                .name("stdout".to_owned())
                .spawn(move || write_all(&to_write, &results))?;
            self.thread.insert((lines, written))
        };
        // If the thread has ended, it has said why.
        let _ = lines.send((id, line));
        Ok(())
    }

    /// The last delivery whose line was written, or why none can be, without waiting.
    pub(super) fn next_result(&mut self) -> Option<io::Result<DeliveryId>> {
        let (_, written) = self.thread.as_ref()?;
        let result = match written.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if result.is_err() {
            self.thread = None;
        }
        Some(result)
    }

    /// Has no more lines written.
    pub(super) fn stop(&mut self) {
        self.thread = None;
    }
}

fn write_all(
    lines: &Receiver<(DeliveryId, String)>,
    results: &WakingSender<io::Result<DeliveryId>>,
) {
    while let Ok((mut last, mut batch)) = lines.recv() {
        while batch.len() < BATCH
            && let Ok((id, line)) = lines.try_recv()
        {
            batch += &line;
            last = id;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(batch.as_bytes())
            .and_then(|()| stdout.flush());
        let is_over = written.is_err();
        if results.send(written.map(|()| last)).is_err() || is_over {
            return;
        }
    }
}
