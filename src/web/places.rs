//! How many connections there are at once, and of whom.
//!
//! Each holds a file descriptor and some memory, which the stores need too. So there is a number of
//! places; who comes when all are taken waits to be accepted. One address may take half of them:
//! a client that opens connections and says nothing cannot keep all others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places of connections.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    of_one_max: usize,
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    _free: OwnedSemaphorePermit,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Places {
    /// So many, of which one address may take half.
    pub(super) fn new(connections_max: NonZeroUsize) -> Self {
        let places = connections_max.get().min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(places)),
            taken: Arc::default(),
            of_one_max: places.div_ceil(2),
        }
    }

    /// Waits until there is one.
    pub(super) async fn free(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(place) => place,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes it for an address; none where that has its half.
    pub(super) fn take(&self, free: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.entry(address).or_default();
        if *of_one >= self.of_one_max {
            return None;
        }
        *of_one += 1;
        Some(Place {
            _free: free,
            taken: Arc::clone(&self.taken),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = taken.get_mut(&self.address) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// Raises the soft limit of file descriptors to the hard one, and returns how many connections that leaves
/// room for: half, for the other half belongs to the stores.
pub(crate) fn connections_possible() -> NonZeroUsize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let mut raised = limit;
        raised.current = limit.maximum;
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::debug!(%error, "the limit of open files stays as it is"),
        }
    }
    let files = limit.current.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    NonZeroUsize::new(files / 2).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn one_address_has_half_the_places_and_the_last_one_is_waited_for() {
        let places = Places::new(NonZeroUsize::new(4).expect("above 0"));
        let [greedy, other] = [1, 2].map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
        let mut taken = Vec::new();
        for (address, is_taken) in [
            (greedy, true),
            (greedy, true),
            (greedy, false),
            (other, true),
            (other, true),
        ] {
            let place = places.take(places.free().await, address);
            assert_eq!(place.is_some(), is_taken, "{address} after {}", taken.len());
            taken.extend(place);
        }
        let mut waiting = pin!(places.free());
        let mut context = Context::from_waker(Waker::noop());
        assert!(
            waiting.as_mut().poll(&mut context).is_pending(),
            "all are taken"
        );
        taken.remove(0);
        let place = places
            .take(waiting.await, greedy)
            .expect("it has one place");
        assert!(
            places
                .take(
                    Arc::new(Semaphore::new(1))
                        .try_acquire_owned()
                        .expect("one"),
                    greedy
                )
                .is_none()
        );
        drop((taken, place));
        assert_eq!(places.free.available_permits(), 4);
        assert!(places.taken.lock().expect("nobody panicked").is_empty());
    }
}
