//! Places for connections. When all are taken, whoever has asked for nothing for the longest time makes room, so that
//! idle clients and slow readers never keep a probe of the kubelet waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// How long a client waits for a place before somebody has to make room.
const PATIENCE: Duration = Duration::from_millis(100);
/// Nobody has to leave who asked for something this recently: the answer may be under way.
const UNDISTURBED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: BTreeMap<u64, Occupant>,
}

#[derive(Debug)]
struct Occupant {
    last_asked: Instant,
    leave: Arc<Notify>,
}

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), taken: Mutex::default() })
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            match timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await {
                Ok(Ok(permit)) => return self.occupy(Some(permit)),
                // The semaphore is never closed.
                Ok(Err(_)) => return self.occupy(None),
                Err(_) => self.make_room(),
            }
        }
    }

    fn occupy(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Place {
        let leave = Arc::new(Notify::new());
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.by_number.insert(number, Occupant { last_asked: Instant::now(), leave: Arc::clone(&leave) });
        Place { number, leave, places: Arc::clone(self), _permit: permit }
    }

    fn make_room(&self) {
        let mut taken = self.taken();
        let longest = taken.by_number.iter().min_by_key(|(_, occupant)| occupant.last_asked);
        let Some((number, occupant)) = longest else { return };
        if occupant.last_asked.elapsed() < UNDISTURBED {
            return;
        }
        occupant.leave.notify_one();
        // The next one who needs a place asks somebody else.
        let number = *number;
        taken.by_number.remove(&number);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    leave: Arc<Notify>,
    places: Arc<Places>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Notes that its client asks for something now.
    pub(super) fn asks(&self) {
        if let Some(occupant) = self.places.taken().by_number.get_mut(&self.number) {
            occupant.last_asked = Instant::now();
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_was_silent_longest_makes_room_and_nobody_else() {
        let places = Places::new(2);
        let first = places.take().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = places.take().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        first.asks();
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        second.has_to_leave().await;
        assert!(timeout(Duration::from_millis(500), first.has_to_leave()).await.is_err(), "it has just asked");
        drop(second);
        waiting.await.expect("a place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_of_this_moment_is_not_disturbed() {
        let places = Places::new(1);
        let only = places.take().await;
        tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        assert!(timeout(Duration::from_millis(900), only.has_to_leave()).await.is_err());
        only.has_to_leave().await;
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_is_free_again() {
        let places = Places::new(1);
        for _ in 0..1000 {
            drop(places.take().await);
        }
        assert!(places.taken().by_number.is_empty());
    }
}
