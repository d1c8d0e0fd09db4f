use std::sync::Barrier;

use super::*;

const PART: PartId = PartId(1);

fn bytes(number: u64) -> Arc<[u8]> {
    Arc::from(vec![number as u8; 10])
}

#[allow(clippy::unnecessary_wraps)] // the shape of a request
fn fetch(run: Range<u64>) -> Result<Vec<Arc<[u8]>>, &'static str> {
    Ok(run.map(bytes).collect())
}

#[test]
fn missing_neighbours_come_in_one_request() {
    let cache = RangeCache::new(1_000, 10);
    // What is wanted, up to which end, and the request that it takes.
    for (number, end, expected) in [
        (3, 5, Some(3..5)),
        (4, 9, None),
        (0, 9, Some(0..3)),
        (5, 5, Some(5..6)),
        (6, 1_000, Some(6..6 + RANGES_AT_ONCE)),
    ] {
        let asked = Mutex::new(None);
        let range = cache.range(PART, number, end, |run| {
            *asked.lock() = Some(run.clone());
            fetch(run)
        });
        assert_eq!(range, Ok(bytes(number)));
        assert_eq!(*asked.lock(), expected, "{number}..{end}");
    }
    assert_eq!((cache.hits(), cache.misses()), (1, 22));
}

#[test]
fn the_range_used_longest_ago_makes_room() {
    let cache = RangeCache::new(30, 10);
    let is_held = |number| {
        cache
            .range(PART, number, number + 1, |_| Err("not held"))
            .is_ok()
    };
    for number in [0, 1, 2] {
        assert!(cache.range(PART, number, number + 1, fetch).is_ok());
    }
    assert!(is_held(0));
    assert!(cache.range(PART, 3, 4, fetch).is_ok());
    assert_eq!(cache.bytes(), 30);
    assert_eq!([0, 1, 2, 3].map(is_held), [true, false, true, true]);
    cache.forget(PART, 0..3);
    assert_eq!(cache.bytes(), 10);
    assert_eq!([0, 2, 3].map(is_held), [false, false, true]);
    // One that never fits is given and not held.
    let small = RangeCache::new(5, 10);
    assert_eq!(small.range(PART, 0, 1, fetch), Ok(bytes(0)));
    assert_eq!(small.bytes(), 0);
}

#[test]
fn readers_of_one_range_fetch_it_once() {
    const READERS: usize = 4;
    let cache = RangeCache::new(1_000, 10);
    let requests = AtomicU64::new(0);
    let all_are_here = Barrier::new(READERS);
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                all_are_here.wait();
                let range = cache.range(PART, 7, 8, |run| {
                    requests.fetch_add(1, Ordering::Relaxed);
                    fetch(run)
                });
                assert_eq!(range, Ok(bytes(7)));
            });
        }
    });
    assert_eq!(requests.into_inner(), 1);
    assert_eq!((cache.hits(), cache.misses()), (3, 1));
}

#[test]
fn a_request_that_fails_leaves_the_range_to_the_next() {
    let cache = RangeCache::new(1_000, 10);
    assert_eq!(cache.range(PART, 0, 4, |_| Err("away")), Err("away"));
    assert_eq!(cache.range(PART, 0, 4, fetch), Ok(bytes(0)));
    assert_eq!(cache.bytes(), 40);
}
