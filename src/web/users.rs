//! Users by name and password, the passwords as bcrypt's hashes.
//!
//! A check is slow on purpose, so it runs beside the async threads, few at a time, and others wait in a line
//! of bounded length. A password that was right is remembered as a keyed digest, one for a user, so that only
//! the first request of a client is slow; what was wrong is not, or whoever guesses would push out those who know.
//! A name that nobody has costs the check of a hash that somebody has: how long an answer takes tells of no name.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{anyhow, bail};
use bcrypt::HashParts;
use rustls::crypto::ring;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::config::tier::Secret;

/// Checks that wait for their turn; beyond it a client is asked to come back.
const WAITING_MAX: usize = 64;
/// A check at this cost takes more than a minute.
const COST_MAX: u32 = 20;

/// Users, and what was found of them.
pub(super) struct Users {
    /// By name, in their order.
    known: Vec<(String, Arc<str>)>,
    /// Of each user the digest of the password that was right last.
    remembered: Mutex<Vec<Option<[u8; 32]>>>,
    /// What the digests are made with; nobody outside of this process knows it.
    key: [u8; 32],
    checks: Arc<Semaphore>,
    waiting: Semaphore,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// The password is the user's.
    Right,
    /// It is not, or there is no such user.
    Wrong,
    /// Too many checks are under way.
    Busy,
}

impl Users {
    /// Users by their hashes; none where there are none.
    pub(super) fn new(hashes: &BTreeMap<String, Secret>) -> anyhow::Result<Option<Self>> {
        if hashes.is_empty() {
            return Ok(None);
        }
        for (name, hash) in hashes {
            if name.is_empty() || name.contains(':') {
                bail!("basic_auth_users: {name:?}: a name is not empty and has no colon");
            }
            let parts = HashParts::from_str(&hash.0).map_err(|_| {
                anyhow!(
                    "basic_auth_users: {name}: no bcrypt hash; make one with `htpasswd -nBC 10 \"\"`"
                )
            })?;
            if parts.get_cost() > COST_MAX {
                bail!(
                    "basic_auth_users: {name}: a check at cost {} takes minutes; choose 10 to 14",
                    parts.get_cost()
                );
            }
        }
        let mut key = [0; 32];
        let random = ring::default_provider().secure_random.fill(&mut key);
        random.map_err(|error| anyhow!("the system gives no randomness: {error:?}"))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Ok(Some(Self {
            known: (hashes.iter())
                .map(|(name, hash)| (name.clone(), hash.0.as_str().into()))
                .collect(),
            remembered: Mutex::new(vec![None; hashes.len()]),
            key,
            checks: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Semaphore::new(WAITING_MAX),
        }))
    }

    /// Whether this is a user's password.
    pub(super) async fn check(&self, name: &str, password: &[u8]) -> Checked {
        let shown = self.digest(&[name.as_bytes(), password]);
        let found = self
            .known
            .binary_search_by(|(user, _)| user.as_str().cmp(name));
        if let Ok(user) = found
            && let Some(Some(right)) = self.remembered().get(user)
            && bool::from(right.ct_eq(&shown))
        {
            return Checked::Right;
        }
        // The same name always has the same decoy, as if it were a user's.
        let hash = found.unwrap_or_else(|_| self.decoy(name));
        let Some((_, hash)) = self.known.get(hash) else {
            return Checked::Wrong;
        };
        let Ok(_place) = self.waiting.try_acquire() else {
            return Checked::Busy;
        };
        let Ok(turn) = Arc::clone(&self.checks).acquire_owned().await else {
            return Checked::Busy;
        };
        let (password, hash) = (password.to_vec(), Arc::clone(hash));
        let checked = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also where nobody waits for it any more.
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        match (checked.await, found) {
            (Ok(true), Ok(user)) => {
                if let Some(place) = self.remembered().get_mut(user) {
                    *place = Some(shown);
                }
                Checked::Right
            }
            _ => Checked::Wrong,
        }
    }

    fn decoy(&self, name: &str) -> usize {
        let [a, b, c, d, ..] = self.digest(&[name.as_bytes()]);
        u32::from_le_bytes([a, b, c, d]) as usize % self.known.len()
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Vec<Option<[u8; 32]>>> {
        // Each place is written whole.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(list: &[(&str, &str)]) -> anyhow::Result<Option<Users>> {
        let hashes = list
            .iter()
            .map(|(name, hash)| ((*name).to_owned(), Secret((*hash).to_owned())));
        Users::new(&hashes.collect())
    }

    #[tokio::test]
    async fn passwords_are_right_or_wrong_remembered_or_not() {
        let hash = |password: &str| bcrypt::hash(password, 4).expect("a hash");
        let (anna, zoe) = (hash("ship"), hash("ship"));
        let users = users(&[("anna", &anna), ("zoe", &zoe)]);
        let users = users.expect("valid").expect("two");
        for round in 0..2 {
            for (name, password, expected) in [
                ("anna", "ship", Checked::Right),
                ("anna", "shi", Checked::Wrong),
                ("anna", "", Checked::Wrong),
                ("zoe", "ship", Checked::Right),
                // The password of the decoy is nobody's.
                ("nobody", "ship", Checked::Wrong),
                ("", "ship", Checked::Wrong),
            ] {
                let found = users.check(name, password.as_bytes()).await;
                assert_eq!(found, expected, "{name} {password} {round}");
            }
        }
        let remembered = users.remembered().iter().flatten().count();
        assert_eq!(remembered, 2);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_not_joined() {
        let hash = bcrypt::hash("ship", 4).expect("a hash");
        let users = users(&[("anna", &hash)]).expect("valid").expect("one");
        assert_eq!(users.check("anna", b"ship").await, Checked::Right);
        let _all = users.waiting.acquire_many(WAITING_MAX as u32).await;
        assert_eq!(users.check("anna", b"wrong").await, Checked::Busy);
        assert_eq!(users.check("nobody", b"wrong").await, Checked::Busy);
        // Who is known does not stand in it.
        assert_eq!(users.check("anna", b"ship").await, Checked::Right);
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_shown() {
        for (name, hash, expected) in [
            ("anna", "ship", "anna: no bcrypt hash"),
            ("a:b", "ship", "has no colon"),
            (
                "anna",
                "$2y$31$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi",
                "cost 31 takes minutes",
            ),
        ] {
            let error = users(&[(name, hash)]).err().expect(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("ship"), "{error}");
        }
        assert!(users(&[]).expect("valid").is_none());
    }
}
