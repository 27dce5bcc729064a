//! What a container has written, kept as a kubelet keeps it: the lines of this run and of the one before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::Notify,
};

/// Which part of a log is asked for; the query of `GET /containerLogs/…`.
#[derive(Debug, Default, Clone)]
pub(crate) struct LogQuery {
    pub(crate) follow: bool,
    pub(crate) timestamps: bool,
    pub(crate) previous: bool,
    pub(crate) tail: Option<usize>,
    pub(crate) since: Option<Timestamp>,
}

impl LogQuery {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "follow" => parsed.follow = value == "true",
                "timestamps" => parsed.timestamps = value == "true",
                "previous" => parsed.previous = value == "true",
                "tailLines" => parsed.tail = value.parse().ok(),
                "sinceTime" => parsed.since = value.replace("%3A", ":").replace("%2B", "+").parse().ok(),
                "sinceSeconds" => {
                    let seconds: Option<i64> = value.parse().ok();
                    parsed.since = seconds.and_then(|seconds| {
                        Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
                    });
                }
                _ => {}
            }
        }
        parsed
    }
}

#[derive(Debug, Clone)]
struct Line {
    at: Timestamp,
    text: String,
}

#[derive(Debug, Default)]
struct Runs {
    current: Vec<Line>,
    previous: Option<Vec<Line>>,
    number: usize,
}

/// The log of one container.
#[derive(Debug, Default)]
pub struct ContainerLog {
    runs: Mutex<Runs>,
    changed: Notify,
}

impl ContainerLog {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container starts (again): what was written so far belongs to the run before.
    pub(crate) fn begin_run(&self) {
        let mut runs = self.runs();
        runs.number += 1;
        if runs.number > 1 {
            runs.previous = Some(std::mem::take(&mut runs.current));
        }
        drop(runs);
        self.changed.notify_waiters();
    }

    /// All lines of the current run.
    pub fn text(&self) -> String {
        self.runs().current.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }

    /// Adds a line that whoever runs the container writes.
    pub fn push(&self, text: String) {
        self.runs().current.push(Line { at: Timestamp::now(), text });
        self.changed.notify_waiters();
    }

    /// Adds every line of a stream until it ends.
    pub(crate) async fn read_from(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            self.push(text);
        }
    }

    /// The lines that a query asks for, one chunk a step; ends at the end, or with the run when following.
    pub(crate) fn chunks(self: Arc<Self>, query: LogQuery) -> impl Stream<Item = String> {
        let (first, number) = {
            let runs = self.runs();
            let lines = if query.previous { runs.previous.as_deref().unwrap_or_default() } else { &runs.current };
            let start = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
            (start, runs.number)
        };
        stream::unfold(Some(first), move |position| {
            let log = Arc::clone(&self);
            let query = query.clone();
            async move {
                let position = position?;
                loop {
                    let waiting = log.changed.notified();
                    {
                        let runs = log.runs();
                        let lines =
                            if query.previous { runs.previous.as_deref().unwrap_or_default() } else { &runs.current };
                        let over = runs.number != number;
                        if position < lines.len() && !over {
                            let wanted = lines[position..]
                                .iter()
                                .filter(|line| query.since.is_none_or(|since| line.at >= since));
                            let text = wanted.map(|line| line.print(query.timestamps)).collect();
                            let next = query.follow.then_some(lines.len());
                            return Some((text, next));
                        }
                        if over || !query.follow {
                            return None;
                        }
                    }
                    waiting.await;
                }
            }
        })
    }
}

impl Line {
    fn print(&self, timestamps: bool) -> String {
        if timestamps { format!("{:.9} {}\n", self.at, self.text) } else { format!("{}\n", self.text) }
    }
}
