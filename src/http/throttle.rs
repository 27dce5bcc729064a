//! How often strangers may make the doctor ask the API server who they are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Questions that one address may have in a row, and then each so long after the one before.
const IN_A_ROW: u32 = 10;
const EACH: Duration = Duration::from_secs(2);
/// The same for all addresses together: half of what the API server's own limits let one client ask.
const ALL_IN_A_ROW: u32 = 60;
const ALL_EACH: Duration = Duration::from_millis(100);
/// Addresses that are remembered at most.
const ADDRESSES: usize = 1_024;

/// Tokens that come back with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When it will be full again.
    full_at: Instant,
}

impl Bucket {
    /// Takes one token, where one is left.
    fn take(&mut self, most: u32, each: Duration, now: Instant) -> bool {
        let from = self.full_at.max(now);
        if from + each > now + each * most {
            return false;
        }
        self.full_at = from + each;
        true
    }
}

#[derive(Debug)]
struct Buckets {
    all: Bucket,
    by_address: HashMap<IpAddr, Bucket>,
}

/// Counts the questions on behalf of credentials of which nothing is known.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Buckets>);

impl Throttle {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Buckets { all: Bucket { full_at: Instant::now() }, by_address: HashMap::new() }))
    }

    /// Whether one more question may be asked on behalf of a client of this address.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { all, by_address } = &mut *buckets;
        if by_address.len() >= ADDRESSES {
            by_address.retain(|_, bucket| bucket.full_at > now);
        }
        if by_address.len() >= ADDRESSES && !by_address.contains_key(&address) {
            return all.take(ALL_IN_A_ROW, ALL_EACH, now);
        }
        let own = by_address.entry(address).or_insert(Bucket { full_at: now });
        own.take(IN_A_ROW, EACH, now) && all.take(ALL_IN_A_ROW, ALL_EACH, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_asks_without_end_is_slowed_down_and_others_are_not() {
        let throttle = Throttle::new();
        let (greedy, scraper) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let admitted = (0..1_000).filter(|_| throttle.admits(greedy)).count();
        assert_eq!(admitted, 10);
        assert!(throttle.admits(scraper));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!((0..1_000).filter(|_| throttle.admits(greedy)).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn all_addresses_together_are_bounded_too() {
        let throttle = Throttle::new();
        let admitted = (0..=255).flat_map(|last| (0..20).map(move |_| IpAddr::from([10, 0, 0, last])));
        assert_eq!(admitted.filter(|address| throttle.admits(*address)).count(), 60);
    }
}
