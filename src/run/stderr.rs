//! Lines for stderr, written by a thread of their own: a reader that has gone, a full disk or a pipe that nobody empties may
//! cost lines of the log, and never the program.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

/// Lines that wait to be written; while so many wait, newer ones are lost.
const QUEUE: usize = 1_024;
/// How long the end of the program waits for the last lines.
const PATIENCE: Duration = Duration::from_millis(500);

enum Job {
    Line(Vec<u8>),
    /// Tells once everything before it is written.
    Told(SyncSender<()>),
}

/// Where log lines go; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lines(SyncSender<Job>);

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").finish_non_exhaustive()
    }
}

impl Lines {
    /// Starts the thread that writes to `output`.
    pub(super) fn to(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&receiver, output))?;
        Ok(Self(sender))
    }

    /// Waits a moment for the lines that were logged so far.
    pub(super) fn flush(&self) {
        let (told, done) = sync_channel(1);
        // Where nobody empties the pipe there is nothing to wait for.
        if self.0.try_send(Job::Told(told)).is_ok() {
            let _ = done.recv_timeout(PATIENCE);
        }
    }
}

fn write_all(jobs: &Receiver<Job>, mut output: impl Write) {
    for job in jobs {
        match job {
            // Whether anybody reads it is no concern of the program.
            Job::Line(line) => drop(output.write_all(&line).and_then(|()| output.flush())),
            Job::Told(told) => drop(told.try_send(())),
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        drop(self.0.try_send(Job::Line(line.to_vec())));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says something on stderr where no log is written.
pub(super) fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells of every write, and answers it as it is told to.
    struct Output<F>(F);

    impl<F: FnMut(&[u8]) -> io::Result<usize>> Write for Output<F> {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            (self.0)(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_their_order_before_the_program_ends() {
        let (written, read) = mpsc::channel();
        let output = Output(move |line: &[u8]| {
            written.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)?;
            Ok(line.len())
        });
        let mut lines = Lines::to(output).expect("a thread");
        for number in 0..10 {
            lines.write_all(format!("{number}\n").as_bytes()).expect("never an error");
        }
        Lines::flush(&lines);
        assert_eq!(read.try_iter().collect::<String>(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }

    #[test]
    fn an_output_that_fails_or_blocks_costs_lines_and_nothing_else() {
        let mut failing = Lines::to(Output(|_: &[u8]| Err(io::ErrorKind::BrokenPipe.into()))).expect("a thread");
        let mut blocked = Lines::to(Output(|_: &[u8]| {
            loop {
                thread::park();
            }
        }))
        .expect("a thread");
        for _ in 0..3 * QUEUE {
            failing.write_all(b"a line\n").expect("never an error");
            blocked.write_all(b"a line\n").expect("never an error");
        }
        Lines::flush(&failing);
        Lines::flush(&blocked);
    }
}
