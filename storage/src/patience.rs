//! How long whoever asked waits.
//!
//! Walking the values of a label or the labels of a million series takes long, and whoever asked may have gone
//! meanwhile. So what is long is handed a [`Patience`], which it asks between short pieces of its work: a block
//! of an index, some values. This member knows nothing of queries; it gives up as soon as it is told to, and says
//! why in the words of whoever handed the patience in.

use std::fmt;
use std::sync::Arc;

use crate::part::PartError;

/// Why the work was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// It took longer than it may.
    #[error("it takes too long; ask for less")]
    TimedOut,
    /// Whoever asked has gone.
    #[error("nobody waits for it any more")]
    Canceled,
}

type Ask = dyn Fn() -> Result<(), GivenUp> + Send + Sync;

/// Tells whether somebody still waits. The default waits for ever.
#[derive(Clone, Default)]
pub struct Patience(Option<Arc<Ask>>);

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0.is_some() {
            "limited"
        } else {
            "endless"
        };
        f.debug_tuple("Patience").field(&kind).finish()
    }
}

impl Patience {
    /// Lasts until `ask` says that it has ended. It is asked often, so it should take well below a microsecond.
    pub fn new(ask: impl Fn() -> Result<(), GivenUp> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Whether the work may go on.
    pub fn check(&self) -> Result<(), PartError> {
        match &self.0 {
            Some(ask) => ask().map_err(PartError::GivenUp),
            None => Ok(()),
        }
    }
}
