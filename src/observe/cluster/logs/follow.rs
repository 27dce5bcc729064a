//! One container's log.

use std::{pin::pin, time::Duration};

use futures::{AsyncBufRead, AsyncBufReadExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::LogParams};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{
    observe::cluster::{
        heard::{LogEvent, LogKey, Message},
        options::Timings,
        trouble::Trouble,
    },
    snapshot::NotSeen,
};

/// Lines that are read of what was written before the doctor looked.
const TAIL: i64 = 1_000;
/// Bytes that are read of a log that has ended.
const LONGEST_PREVIOUS: i64 = 1 << 20;
/// How much of a line is kept.
const LONGEST_LINE: usize = 4 * 1024;
/// Lines that are told at once, and how long they wait for each other.
const BATCH: usize = 256;
const BATCH_TIME: Duration = Duration::from_millis(100);
/// Between full batches: a log that is written faster than it can be judged is read slowly, not kept in memory.
const PAUSE: Duration = Duration::from_millis(50);

/// A log that was followed for so long went well.
const CALM: Duration = Duration::from_secs(10);

/// Why telling has stopped.
enum End {
    /// The log has ended, or its connection has.
    Log,
    /// Nobody listens any more.
    Listener,
}

pub(super) async fn run(
    client: Client,
    key: LogKey,
    timings: Timings,
    mut restarts: watch::Receiver<u32>,
    messages: mpsc::Sender<Message>,
) {
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let mut follower = Follower { api, key, messages, last: None };
    let mut known_restarts = 0;
    let mut failures = 0;
    loop {
        let now_restarts = *restarts.borrow_and_update();
        if now_restarts > known_restarts {
            // What was written between the last line and the end, or all of it where the doctor came later. A runtime
            // that has thrown it away is no failure.
            if follower.previous().await.is_err() || follower.tell(LogEvent::Restarted).await.is_err() {
                return;
            }
            known_restarts = now_restarts;
        }
        let (began, last) = (Instant::now(), follower.last);
        let pause = match follower.follow().await {
            Ok(End::Listener) => return,
            Ok(End::Log) => {
                // One that ends at once and says nothing new is as good as a failure: a container that is in a crash loop.
                let went_well = began.elapsed() > CALM || follower.last != last;
                failures = if went_well { 1 } else { failures + 1 };
                timings.retry.delay(failures)
            }
            Err(reason) => {
                failures += 1;
                let backoff = match reason {
                    NotSeen::Forbidden { .. } => timings.retry_refused,
                    _ => timings.retry,
                };
                if follower.tell(LogEvent::Failed(reason)).await.is_err() {
                    return;
                }
                backoff.delay(failures)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // A container that was started anew has a new log.
            changed = restarts.changed() => if changed.is_err() { return },
        }
    }
}

struct Follower {
    api: Api<Pod>,
    key: LogKey,
    messages: mpsc::Sender<Message>,
    /// The moment of the last line that was told.
    last: Option<Timestamp>,
}

impl Follower {
    async fn tell(&self, event: LogEvent) -> Result<(), ()> {
        self.messages.send(Message::Log { key: self.key.clone(), event }).await.map_err(|_| ())
    }

    fn parameters(&self) -> LogParams {
        LogParams {
            container: Some(self.key.container.clone()),
            timestamps: true,
            // Whole seconds: lines of the same second come again and are dropped by their moment.
            since_time: self.last,
            tail_lines: self.last.is_none().then_some(TAIL),
            ..LogParams::default()
        }
    }

    /// Follows until the log or its connection ends.
    async fn follow(&mut self) -> Result<End, NotSeen> {
        let parameters = LogParams { follow: true, ..self.parameters() };
        let stream = self.api.log_stream(&self.key.pod, &parameters).await.map_err(|error| not_seen(&error))?;
        self.read(stream).await
    }

    /// Reads what a container that has ended wrote; `Err` when nobody listens.
    async fn previous(&mut self) -> Result<(), ()> {
        let parameters = LogParams { previous: true, limit_bytes: Some(LONGEST_PREVIOUS), ..self.parameters() };
        match self.api.log_stream(&self.key.pod, &parameters).await {
            Ok(stream) => match self.read(stream).await {
                Ok(End::Listener) => Err(()),
                Ok(End::Log) | Err(_) => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }

    async fn read(&mut self, stream: impl AsyncBufRead) -> Result<End, NotSeen> {
        let mut stream = pin!(stream);
        let mut batch = Vec::new();
        let mut opened = false;
        let mut line = Vec::new();
        loop {
            let read = tokio::time::timeout(BATCH_TIME, read_line(&mut stream, &mut line)).await;
            let is_quiet = read.is_err();
            let ended = matches!(read, Ok(Ok(false) | Err(_)));
            if matches!(read, Ok(Ok(true))) {
                self.keep(&line, &mut batch);
                line.clear();
            }
            let is_full = batch.len() >= BATCH;
            if is_full || !batch.is_empty() && (is_quiet || ended) || !opened && (is_quiet || ended) {
                opened = true;
                if self.tell(LogEvent::Lines(std::mem::take(&mut batch))).await.is_err() {
                    return Ok(End::Listener);
                }
            }
            if ended {
                return Ok(End::Log);
            }
            if is_full {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Keeps a line that was not told yet.
    fn keep(&mut self, line: &[u8], batch: &mut Vec<String>) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        let at = moment(&line);
        if line.is_empty() || at.is_some() && at <= self.last {
            return;
        }
        self.last = at.or(self.last);
        batch.push(line);
    }
}

/// Reads on until the end of a line, of which no more than a bounded part is kept; `false` at the end of the log. What was
/// read stays in `line` when the call is given up half way.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let bytes = stream.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        stream.consume_unpin(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The moment that `timestamps=true` puts in front of a line.
pub(super) fn moment(line: &str) -> Option<Timestamp> {
    line.split(' ').next()?.parse().ok()
}

fn not_seen(error: &kube::Error) -> NotSeen {
    match Trouble::of(error) {
        Trouble::Forbidden => NotSeen::Forbidden { verb: "get", resource: "pods/log" },
        Trouble::NotFound => NotSeen::Unreachable("the pod is gone".to_owned()),
        Trouble::Gone => NotSeen::Unreachable("the log is gone".to_owned()),
        Trouble::Unreachable(text) => NotSeen::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_where_they_are_long_and_the_last_one_needs_no_end() {
        let text = format!("a\n{}\n\nlast", "x".repeat(3 * LONGEST_LINE));
        let mut stream = text.as_bytes();
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut stream, &mut line).await.expect("text") {
            lines.push(line.len());
            line.clear();
        }
        assert_eq!(lines, [1, LONGEST_LINE, 0, 4]);
    }

    #[test]
    fn a_line_of_the_runtime_begins_with_its_moment() {
        assert!(moment("2026-01-01T11:00:00.123456789Z I0101 11:00:00 Serving securely").is_some());
        assert!(moment("panic: unknown flag").is_none());
    }
}
