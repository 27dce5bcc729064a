//! How fast one watch may ask: kube's watcher asks again at once wherever an answer is no error, and sees nothing of a proxy
//! that closes, redirects or pages without end.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// A watch that lived for so long went well.
const CALM: Duration = Duration::from_secs(10);
/// Pages that may be asked for in a row, and then each so long after the one before: 200,000 objects are listed at full
/// speed, and what never ends costs a request in two seconds.
const PAGES_IN_A_ROW: u32 = 400;
const PAGE_EACH: Duration = Duration::from_secs(2);
/// The longest time for which an API server's `Retry-After` is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// What one watch has asked so far, over all of its streams.
#[derive(Debug)]
pub(super) struct Pace {
    retry: Backoff,
    /// When the last watch was started.
    watch_started: Option<Instant>,
    /// Watches in a row that did not live for long.
    short_lived: u32,
    pages_full_at: Instant,
    not_before: Instant,
}

impl Pace {
    pub(super) fn new(retry: Backoff) -> Self {
        let now = Instant::now();
        Self { retry, watch_started: None, short_lived: 0, pages_full_at: now, not_before: now }
    }

    /// When the next request may be sent.
    pub(super) fn next(&mut self, is_watch: bool, now: Instant) -> Instant {
        let at = if is_watch { self.next_watch(now) } else { self.next_page(now) };
        at.max(self.not_before)
    }

    fn next_watch(&mut self, now: Instant) -> Instant {
        let lived = self.watch_started.map(|started| now.saturating_duration_since(started));
        self.short_lived = if lived.is_some_and(|lived| lived < CALM) { self.short_lived + 1 } else { 0 };
        // One that ends soon is nothing unusual: a server that restarts, a version that is too old.
        let pause = if self.short_lived > 1 { self.retry.delay(self.short_lived - 1) } else { Duration::ZERO };
        self.watch_started = Some(now + pause);
        now + pause
    }

    fn next_page(&mut self, now: Instant) -> Instant {
        let full_at = self.pages_full_at.max(now) + PAGE_EACH;
        self.pages_full_at = full_at;
        full_at.checked_sub(PAGE_EACH * PAGES_IN_A_ROW).unwrap_or(now).max(now)
    }

    /// Takes over what the API server asks for with `Retry-After`, in seconds.
    pub(super) fn retry_after(&mut self, seconds: u64, now: Instant) {
        self.not_before = self.not_before.max(now + Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(15) })
    }

    /// How many requests are sent in a minute where each is answered at once.
    fn in_a_minute(pace: &mut Pace, is_watch: bool, begin: Instant) -> usize {
        let mut now = begin;
        let mut count = 0;
        while now < begin + Duration::from_mins(1) {
            now = pace.next(is_watch, now);
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn watches_that_end_at_once_are_started_ever_more_slowly() {
        let (mut pace, begin) = (pace(), Instant::now());
        let count = in_a_minute(&mut pace, true, begin);
        assert!((5..=16).contains(&count), "{count}");
        // One that has lived for long makes up for all of them.
        let later = begin + Duration::from_mins(5);
        assert_eq!((pace.next(true, later), pace.next(true, later)), (later, later));
    }

    #[tokio::test(start_paused = true)]
    async fn lists_without_end_are_read_ever_more_slowly() {
        let (mut pace, begin) = (pace(), Instant::now());
        let first = in_a_minute(&mut pace, false, begin);
        assert!((400..=440).contains(&first), "{first}");
        let second = in_a_minute(&mut pace, false, begin + Duration::from_mins(1));
        assert!((25..=35).contains(&second), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured_for_a_minute_at_most() {
        let (mut pace, now) = (pace(), Instant::now());
        pace.retry_after(20, now);
        assert_eq!(pace.next(false, now), now + Duration::from_secs(20));
        pace.retry_after(3_600, now);
        assert_eq!(pace.next(true, now), now + Duration::from_mins(1));
    }
}
