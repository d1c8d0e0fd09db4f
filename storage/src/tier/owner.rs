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
//! that changes anything: a copy of a store's folder (a restored snapshot, say) has the same `store`, and
//! whoever of the two claims the folder last is the one who may change it; the other goes on reading.
//! Both are looked at before each change. Between that look and the change lies a moment in which
//! another may claim; what keeps two processes from one data folder is the store's lock, this only says that
//! somebody made a copy.

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

/// Whether a store has parts in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// None.
    Nothing,
    /// At least one.
    Parts,
}

/// Makes sure that the folder is `store`'s; an empty one of a store that holds nothing yet is free.
pub(super) fn check(bucket: &Bucket, store: &str, holding: Holding) -> Result<(), TierError> {
    match (owner(bucket)?, holding) {
        (Some(owner), _) if owner.store == store => Ok(()),
        (Some(_), _) => Err(TierError::OtherStore {
            url: bucket.url_of(OWNER_KEY),
        }),
        (None, Holding::Nothing) => Ok(()),
        (None, Holding::Parts) => Err(TierError::NotOurs {
            url: bucket.url_of(OWNER_KEY),
        }),
    }
}

/// Makes this process the one that may change the folder.
pub(super) fn claim(
    bucket: &Bucket,
    store: &str,
    session: &str,
    holding: Holding,
) -> Result<(), TierError> {
    check(bucket, store, holding)?;
    let owner = Owner {
        format: FORMAT,
        store: store.to_owned(),
        session: session.to_owned(),
    };
    let text = serde_json::to_vec(&owner).map_err(|error| unreadable(bucket, &error))?;
    let text = Bytes::from(text);
    if bucket.put_new(OWNER_KEY, text.clone())? == Made::ThereAlready {
        // It may have come between the look and now.
        check(bucket, store, holding)?;
        bucket.put(OWNER_KEY, text)?;
    }
    Ok(())
}

/// Makes sure that nobody has claimed the folder since.
pub(super) fn confirm(bucket: &Bucket, store: &str, session: &str) -> Result<(), TierError> {
    let url = bucket.url_of(OWNER_KEY);
    match owner(bucket)? {
        Some(owner) if owner.store != store => Err(TierError::OtherStore { url }),
        Some(owner) if owner.session != session => Err(TierError::TakenOver { url }),
        Some(_) => Ok(()),
        None => Err(TierError::NotOurs { url }),
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
