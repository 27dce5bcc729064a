//! How much is asked for blind autoscalers, all of them together: their number grows exactly during an outage.

use std::time::{Duration, Instant};

/// Autoscalers that are looked up in a minute once the first ones were: each costs a request for its scale and one for its
/// pods, or two for what is not built in.
const PER_MINUTE: u32 = 300;
/// Autoscalers that may be looked up at once after a time without any.
const AT_ONCE: u32 = 100;
/// Pods that are held for all autoscalers together.
const PODS: usize = 10_000;
/// Autoscalers of which pods are held; of others only the scale is.
pub(super) const MOST_WITH_PODS: usize = PODS / FEWEST_PODS;
/// Pods that are read for one autoscaler, as many blind ones as there may be: one of its pods without a request names the
/// container.
const FEWEST_PODS: usize = 5;
const MOST_PODS: usize = 50;

/// Look-ups that are left.
#[derive(Debug)]
pub(super) struct Budget {
    left: f64,
    counted: Option<Instant>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: f64::from(AT_ONCE), counted: None }
    }

    /// Takes as many look-ups as are wanted and left.
    pub(super) fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let since = self.counted.replace(now).map_or(Duration::ZERO, |counted| now.saturating_duration_since(counted));
        let earned = since.as_secs_f64() / 60.0 * f64::from(PER_MINUTE);
        self.left = (self.left + earned).min(f64::from(AT_ONCE));
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let taken = (0..wanted.min(AT_ONCE)).take_while(|taken| f64::from(taken + 1) <= self.left).count();
        self.left -= f64::from(u32::try_from(taken).unwrap_or(0));
        taken
    }
}

/// How often each of so many autoscalers is looked up: those that are known use half of the budget, so that new ones need
/// not wait for them.
pub(super) fn interval(targets: usize, usual: Duration) -> Duration {
    let targets = u32::try_from(targets).unwrap_or(u32::MAX);
    usual.max(Duration::from_mins(2).saturating_mul(targets) / PER_MINUTE)
}

/// How many pods are read for each of so many autoscalers.
pub(super) fn sample(targets: usize) -> u32 {
    let pods = (PODS / targets.max(1)).clamp(FEWEST_PODS, MOST_PODS);
    u32::try_from(pods).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_of_a_minute_are_bounded_however_many_are_wanted() {
        let begin = Instant::now();
        let mut budget = Budget::new();
        let mut taken = 0;
        for tenth in 0..600 {
            taken += budget.take(2_000, begin + Duration::from_millis(100 * tenth));
        }
        assert!((390..=400).contains(&taken), "{taken}");
        assert_eq!(Budget::new().take(7, begin), 7);
    }

    #[test]
    fn the_more_are_blind_the_longer_is_the_interval_and_the_smaller_the_sample() {
        let usual = Duration::from_secs(30);
        for (targets, seconds, pods) in [(0, 30, 50), (10, 30, 50), (300, 120, 33), (2_000, 800, 5), (10_000, 4_000, 5)]
        {
            assert_eq!((interval(targets, usual).as_secs(), sample(targets)), (seconds, pods), "{targets}");
        }
    }
}
