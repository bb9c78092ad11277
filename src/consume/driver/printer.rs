//! Messages on standard output, one line of JSON each. A thread writes them, since a slow reader must not keep the loop from
//! signals.

use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::consume::run::DeliveryId;
use crate::system::waker::{Waker, WakingSender};

/// How many bytes are written at once, at least, while there are lines.
const BATCH: usize = 64 * 1024;

/// A message's line, or why it has none.
type Line = Result<String, String>;

pub(super) struct Printer {
    waker: Waker,
    /// Lines to the thread, and why there is none; absent until there is something to write.
    lines: Option<Sender<(DeliveryId, Line)>>,
    /// How many messages were to be written so far.
    count: u64,
    /// The last delivery whose line was written, from the thread.
    written: Option<Receiver<io::Result<DeliveryId>>>,
}

impl Printer {
    pub(super) fn new(waker: Waker) -> Printer {
        Printer {
            waker,
            lines: None,
            count: 0,
            written: None,
        }
    }

    /// Has a line written. A message that has none ends it, behind the lines before it.
    pub(super) fn print(
        &mut self,
        id: DeliveryId,
        line: Result<String, &'static str>,
    ) -> io::Result<()> {
        self.count += 1;
        let line = line.map_err(|reason| format!("message {}: {reason}", self.count));
        if self.lines.is_none() {
            self.start()?;
        }
        if let Some(lines) = &self.lines {
            // A thread that has ended has already said why.
            let _ = lines.send((id, line));
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let (lines, to_write) = unbounded();
        let (results, written) = WakingSender::new(&self.waker);
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || write_all(&to_write, &results))?;
        self.lines = Some(lines);
        self.written = Some(written);
        Ok(())
    }

    /// The last delivery whose line was written, or why none can be, without waiting.
    pub(super) fn next_result(&mut self) -> Option<io::Result<DeliveryId>> {
        let result = match self.written.as_ref()?.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if result.is_err() {
            self.stop();
        }
        Some(result)
    }

    /// Has no more lines written.
    pub(super) fn stop(&mut self) {
        self.lines = None;
        self.written = None;
    }
}

fn write_all(lines: &Receiver<(DeliveryId, Line)>, results: &WakingSender<io::Result<DeliveryId>>) {
    let mut without_line = None;
    while let Ok((mut last, line)) = lines.recv() {
        let mut batch = match line {
            Ok(line) => line,
            Err(reason) => {
                let _ = results.send(Err(io::Error::other(reason)));
                return;
            }
        };
        while batch.len() < BATCH
            && without_line.is_none()
            && let Ok((id, line)) = lines.try_recv()
        {
            match line {
                Ok(line) => {
                    batch += &line;
                    last = id;
                }
                Err(reason) => without_line = Some(reason),
            }
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(batch.as_bytes())
            .and_then(|()| stdout.flush());
        let is_over = written.is_err();
        if results.send(written.map(|()| last)).is_err() || is_over {
            return;
        }
        if let Some(reason) = without_line.take() {
            let _ = results.send(Err(io::Error::other(reason)));
            return;
        }
    }
}
