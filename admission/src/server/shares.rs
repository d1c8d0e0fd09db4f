//! A number of something, of which one address may have half.
//!
//! Who opens connections and says nothing, begins reviews and does not end them, or sends much and stops, may do so
//! from one address with half of what there is. API servers have the other half.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// What is there to be shared.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_one: HashMap<IpAddr, usize>,
}

/// What somebody has, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    inner: Arc<Inner>,
    address: IpAddr,
    count: usize,
}

impl Shares {
    /// So many.
    pub(super) fn new(max: usize) -> Self {
        let taken = Mutex::default();
        Shares {
            inner: Arc::new(Inner { max, taken }),
        }
    }

    /// Takes some for an address; None where it, or all together, would have too many.
    pub(super) fn take(&self, address: IpAddr, count: usize) -> Option<Share> {
        let max = self.inner.max;
        let mut taken = self.inner.taken.lock();
        let all = taken.all.checked_add(count).filter(|all| *all <= max)?;
        let of_one = taken.of_one.get(&address).copied().unwrap_or(0);
        let of_one = of_one.checked_add(count)?;
        if of_one > max.div_ceil(2) {
            return None;
        }
        taken.all = all;
        taken.of_one.insert(address, of_one);
        Some(Share {
            inner: Arc::clone(&self.inner),
            address,
            count,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.inner.taken.lock();
        taken.all -= self.count;
        if let Some(of_one) = taken.of_one.get_mut(&self.address) {
            *of_one -= self.count;
            if *of_one == 0 {
                taken.of_one.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_half_and_nobody_more_than_there_is() {
        let shares = Shares::new(5);
        let of = |last: u8| IpAddr::from([127, 0, 0, last]);
        let first = shares.take(of(1), 3);
        assert!(first.is_some());
        assert!(shares.take(of(1), 1).is_none(), "it has its half");
        assert!(shares.take(of(2), 3).is_none(), "there are two left");
        let second = shares.take(of(2), 2);
        assert!(second.is_some());
        assert!(shares.take(of(3), 1).is_none());
        assert!(shares.take(of(3), usize::MAX).is_none());
        drop(first);
        assert!(shares.take(of(1), 3).is_some());
        assert!(shares.take(of(2), 1).is_some());
        drop(second);
        assert!(shares.inner.taken.lock().of_one.is_empty());
    }
}
