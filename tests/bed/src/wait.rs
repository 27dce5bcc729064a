//! Waiting with a deadline and a message that says what was seen last.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Tries again until it works.
///
/// # Errors
///
/// The last error, with what was waited for, when the limit is over.
pub fn wait_for<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if begin.elapsed() >= limit => {
                return Err(error).with_context(|| format!("waited {} s for {what}", limit.as_secs()));
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}
