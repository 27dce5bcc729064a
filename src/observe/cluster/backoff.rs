//! How long to wait before the next try.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Delays that double from one failure in a row to the next.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never longer than this.
    pub longest: Duration,
}

impl Backoff {
    /// The delay after this many failures in a row: between half and the whole of `first * 2^(failures - 1)`, so that
    /// watches that failed together do not come back together.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        jitter(doubled.min(self.longest))
    }
}

/// Between half and the whole of `duration`.
pub(super) fn jitter(duration: Duration) -> Duration {
    // A hasher's random keys are random enough here.
    let random = RandomState::new().build_hasher().finish() % 1024;
    let share = u32::try_from(random).unwrap_or(0);
    duration / 2 + duration / 2 * share / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(800), longest: Duration::from_secs(30) };
        for (failures, whole) in
            [(0, 0.8), (1, 0.8), (2, 1.6), (4, 6.4), (6, 25.6), (7, 30.0), (40, 30.0), (9999, 30.0)]
        {
            let delay = backoff.delay(failures).as_secs_f64();
            assert!(delay >= whole / 2.0 - 0.001 && delay <= whole + 0.001, "{failures}: {delay}");
        }
    }
}
