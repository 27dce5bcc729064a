//! Places for connections. Whoever comes gets one at once: when all are taken somebody else has to go, so that no number of
//! idle clients, slow readers or greedy ones keeps a probe of the kubelet waiting.
//!
//! First goes who has never asked for anything, then who comes from the address with the most connections; of these who was
//! silent longest.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Nobody has to go who asked for something or came this recently, while there are only a few too many: the answer may be
/// under way.
const UNDISTURBED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Places {
    /// From so many on those go who have been silent for long.
    usual: usize,
    /// From so many on somebody goes in any case.
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: BTreeMap<u64, Occupant>,
}

#[derive(Debug)]
struct Occupant {
    address: IpAddr,
    has_asked: bool,
    last_sign: Instant,
    leave: Arc<Notify>,
}

impl Places {
    pub(super) fn new(usual: usize, most: usize) -> Arc<Self> {
        Arc::new(Self { usual, most, taken: Mutex::default() })
    }

    /// A place for a client of that address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let mut taken = self.taken();
        while taken.by_number.len() >= self.usual && taken.make_room(UNDISTURBED) {}
        while taken.by_number.len() >= self.most && taken.make_room(Duration::ZERO) {}
        let number = taken.next;
        taken.next += 1;
        let leave = Arc::new(Notify::new());
        let occupant = Occupant { address, has_asked: false, last_sign: Instant::now(), leave: Arc::clone(&leave) };
        taken.by_number.insert(number, occupant);
        Place { number, address, leave, places: Arc::clone(self) }
    }

    /// Sends somebody away, for example where the process has no more file descriptors.
    pub(super) fn make_room(&self) {
        self.taken().make_room(Duration::ZERO);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// `false` where nobody was silent for so long.
    fn make_room(&mut self, silent: Duration) -> bool {
        let mut shares: HashMap<IpAddr, usize> = HashMap::new();
        for occupant in self.by_number.values() {
            *shares.entry(occupant.address).or_default() += 1;
        }
        let silent = self.by_number.iter().filter(|(_, occupant)| occupant.last_sign.elapsed() >= silent);
        let first = silent.min_by_key(|(number, occupant)| {
            let share = shares.get(&occupant.address).copied().unwrap_or_default();
            (occupant.has_asked, Reverse(share), occupant.last_sign, **number)
        });
        let Some(number) = first.map(|(number, _)| *number) else { return false };
        if let Some(occupant) = self.by_number.remove(&number) {
            occupant.leave.notify_one();
        }
        true
    }
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    address: IpAddr,
    leave: Arc<Notify>,
    places: Arc<Places>,
}

impl Place {
    /// Where its client is.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Notes that its client asks for something now.
    pub(super) fn asks(&self) {
        if let Some(occupant) = self.places.taken().by_number.get_mut(&self.number) {
            occupant.has_asked = true;
            occupant.last_sign = Instant::now();
        }
    }

    /// Waits until somebody else needs the place more.
    pub(super) async fn has_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn other(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn is_sent_away(place: &Place) -> bool {
        place.has_to_leave().now_or_never().is_some()
    }

    async fn moment() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_never_asked_makes_room_first_and_then_who_was_silent_longest() {
        let places = Places::new(3, 3);
        let first = places.take(HERE);
        first.asks();
        moment().await;
        let second = places.take(HERE);
        second.asks();
        moment().await;
        let silent = places.take(HERE);
        let fourth = places.take(HERE);
        fourth.asks();
        assert!(is_sent_away(&silent) && !is_sent_away(&first) && !is_sent_away(&second));
        let _fifth = places.take(HERE);
        assert!(is_sent_away(&first) && !is_sent_away(&second) && !is_sent_away(&fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_the_most_connections_makes_room_for_others() {
        let places = Places::new(4, 4);
        let scraper = places.take(other(1));
        scraper.asks();
        moment().await;
        let greedy: Vec<Place> = (0..3).map(|_| places.take(other(2))).collect();
        greedy.iter().for_each(Place::asks);
        let kubelet = places.take(other(3));
        kubelet.asks();
        assert!(is_sent_away(&greedy[0]) && !is_sent_away(&scraper) && !is_sent_away(&kubelet));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_few_too_many_only_those_go_who_were_silent_for_long() {
        let places = Places::new(2, 4);
        let first = places.take(HERE);
        let second = places.take(HERE);
        let third = places.take(HERE);
        assert!(!is_sent_away(&first) && !is_sent_away(&second));
        tokio::time::sleep(UNDISTURBED).await;
        third.asks();
        let _fourth = places.take(HERE);
        assert!(is_sent_away(&first) && is_sent_away(&second) && !is_sent_away(&third));
    }

    #[tokio::test]
    async fn however_many_come_each_gets_a_place_at_once_and_no_more_are_taken() {
        let places = Places::new(8, 8);
        let all: Vec<Place> = (0..1_000).map(|_| places.take(HERE)).collect();
        assert_eq!(places.taken().by_number.len(), 8);
        assert_eq!(all.iter().filter(|place| is_sent_away(place)).count(), 992);
        drop(all);
        assert!(places.taken().by_number.is_empty());
    }
}
