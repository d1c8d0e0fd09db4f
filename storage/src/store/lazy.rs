//! A part that is opened when it is first read.
//!
//! What lies on the disk is opened at the start, so that damage shows at once. What lies elsewhere
//! is not: hundreds of old parts must not cost a start hundreds of requests, and a bucket that is
//! away must not prevent it. Such a part is opened by the first who reads it; if that fails the
//! reader has the error and the next one tries again. No reader can forget to look: there is no
//! other way to the part than through the result.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::part::PartError;
use crate::table::Table;

type Open<P> = Box<dyn Fn() -> Result<P, PartError> + Send + Sync>;

/// A part that is open, or that can be.
pub(super) enum LazyPart<T: Table> {
    /// It was opened when it was written or at the start.
    Open(Arc<T::Part>),
    /// It is opened when it is read.
    Closed {
        /// What was opened.
        opened: OnceLock<Arc<T::Part>>,
        /// How to; locked by the one who does.
        open: Mutex<Open<T::Part>>,
    },
}

impl<T: Table> LazyPart<T> {
    /// A part that `open` opens.
    pub(super) fn closed(
        open: impl Fn() -> Result<T::Part, PartError> + Send + Sync + 'static,
    ) -> Self {
        Self::Closed {
            opened: OnceLock::new(),
            open: Mutex::new(Box::new(open)),
        }
    }

    /// The part, if it is open.
    pub(super) fn if_opened(&self) -> Option<&Arc<T::Part>> {
        match self {
            Self::Open(part) => Some(part),
            Self::Closed { opened, .. } => opened.get(),
        }
    }

    /// The part, opened if it is not yet.
    pub(super) fn get(&self) -> Result<&Arc<T::Part>, PartError> {
        match self {
            Self::Open(part) => Ok(part),
            Self::Closed { opened, open } => {
                if let Some(part) = opened.get() {
                    return Ok(part);
                }
                let open = open.lock();
                if let Some(part) = opened.get() {
                    return Ok(part);
                }
                let part = open()?;
                Ok(opened.get_or_init(|| Arc::new(part)))
            }
        }
    }
}
