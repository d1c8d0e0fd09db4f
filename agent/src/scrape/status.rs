//! What became of the last scrape of each target, for those who ask.
//!
//! A target's task writes its own place after each scrape; a reader copies. The lock is held for the
//! copy alone, and never across a scrape.

use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::sample::Metadata;
use model::time::Timestamp;
use parking_lot::Mutex;

use super::target::{Source, Target};

/// Whether a target answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not scraped yet.
    #[default]
    Unknown,
    /// Its last scrape succeeded.
    Up,
    /// Its last scrape failed.
    Down,
}

/// A target and its last scrape.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The labels its series get.
    pub labels: Labels,
    /// Where it is scraped, without credentials; none where that is in this process.
    pub url: Option<url::Url>,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// Whether it answered.
    pub health: Health,
    /// Why it did not; empty where it did.
    pub error: String,
    /// When it was scraped last.
    pub last: Option<Timestamp>,
    /// How long that took.
    pub duration: Duration,
    /// The families it showed, in the order of their names; kept while it is down.
    pub metadata: Arc<[Metadata]>,
}

/// The place of one target.
#[derive(Clone, Debug)]
pub struct Place(Arc<Mutex<TargetStatus>>);

impl Place {
    /// The place of a target that was not scraped yet.
    pub fn new(target: &Target) -> Self {
        let url = match &target.source {
            Source::Http(_) => target.name().parse().ok(),
            Source::Process(..) => None,
        };
        Self(Arc::new(Mutex::new(TargetStatus {
            labels: target.labels.clone(),
            url,
            interval: target.interval,
            timeout: target.timeout,
            health: Health::Unknown,
            error: String::new(),
            last: None,
            duration: Duration::ZERO,
            metadata: Arc::new([]),
        })))
    }

    /// Notes a scrape: the families it showed, or why it failed.
    pub(super) fn note(
        &self,
        at: Timestamp,
        duration: Duration,
        shown: Result<&[Metadata], String>,
    ) {
        let mut status = self.0.lock();
        status.last = Some(at);
        status.duration = duration;
        match shown {
            Ok(metadata) => {
                status.health = Health::Up;
                status.error.clear();
                // Nearly always what it was.
                if *status.metadata != *metadata {
                    status.metadata = metadata.into();
                }
            }
            Err(error) => {
                status.health = Health::Down;
                status.error = error;
            }
        }
    }
}

/// The places of all targets.
#[derive(Clone, Debug, Default)]
pub struct TargetBoard(Arc<[Place]>);

impl TargetBoard {
    /// A board of these places.
    pub fn new(places: Vec<Place>) -> Self {
        Self(places.into())
    }

    /// What there is, in the order of the configuration.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.0.iter().map(|place| place.0.lock().clone()).collect()
    }
}
