//! Whose folder it is.
//!
//! A store sweeps from its folder what its manifest does not name, so a folder has one owner. The
//! object `OWNER` says which:
//!
//! ```text
//! { "format": 1, "store": "…", "session": "…" }
//! ```
//!
//! `store` is made once and kept in the store's manifest. `session` is another one for each process
//! that changes anything, and the manifest keeps the last ones too: a copy of a store's folder has the same
//! `store`, but once one of the two has claimed the folder the session is none that the other knows, and that one
//! goes on reading and changes nothing. A snapshot knows no session, so a store that is restored from one is
//! such a copy from the start. Whoever removes the object hands the folder over: the next store that finds all
//! of its parts there claims it.
//!
//! The object is looked at before each change. Between that look and the change lies a moment in which another
//! may claim; what keeps two processes from one data folder is the store's lock, this only says that somebody
//! made a copy.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Made};
use super::{OWNER_KEY, TierError};

/// The version of what lies in the folder.
const FORMAT: u32 = 1;

/// The object's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    format: u32,
    store: String,
    session: String,
}

/// The session that claimed the folder last; `None` where nobody has. The error says that it is another store's.
pub(super) fn session(bucket: &Bucket, store: &str) -> Result<Option<String>, TierError> {
    match owner(bucket)? {
        Some(owner) if owner.store != store => Err(TierError::OtherStore {
            url: bucket.url_of(OWNER_KEY),
        }),
        owner => Ok(owner.map(|owner| owner.session)),
    }
}

/// Makes a session the one that may change the folder, in place of the one that was found there.
pub(super) fn claim(
    bucket: &Bucket,
    store: &str,
    session: &str,
    found: Option<&str>,
) -> Result<(), TierError> {
    let owner = Owner {
        format: FORMAT,
        store: store.to_owned(),
        session: session.to_owned(),
    };
    let text = serde_json::to_vec(&owner).map_err(|error| unreadable(bucket, &error))?;
    let text = Bytes::from(text);
    if found.is_some() {
        return bucket.put(OWNER_KEY, text);
    }
    match bucket.put_new(OWNER_KEY, text)? {
        Made::New => Ok(()),
        // It came between the look and now.
        Made::ThereAlready => Err(TierError::TakenOver {
            url: bucket.url_of(OWNER_KEY),
        }),
    }
}

/// Makes sure that nobody has claimed the folder since.
pub(super) fn confirm(bucket: &Bucket, store: &str, mine: &str) -> Result<(), TierError> {
    let url = || bucket.url_of(OWNER_KEY);
    match session(bucket, store)? {
        Some(found) if found == mine => Ok(()),
        Some(_) => Err(TierError::TakenOver { url: url() }),
        None => Err(TierError::NotOurs { url: url() }),
    }
}

fn owner(bucket: &Bucket) -> Result<Option<Owner>, TierError> {
    let Some(text) = bucket.get(OWNER_KEY)? else {
        return Ok(None);
    };
    let owner: Owner = serde_json::from_slice(&text).map_err(|error| unreadable(bucket, &error))?;
    if owner.format > FORMAT {
        let reason = format!("format {} is newer than {FORMAT}", owner.format);
        return Err(unreadable(bucket, &reason));
    }
    Ok(Some(owner))
}

fn unreadable(bucket: &Bucket, reason: &dyn std::fmt::Display) -> TierError {
    TierError::Owner {
        url: bucket.url_of(OWNER_KEY),
        reason: reason.to_string(),
    }
}
