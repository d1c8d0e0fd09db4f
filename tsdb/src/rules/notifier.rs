//! Alerts on their way to Alertmanagers.
//!
//! Each Alertmanager has a queue and a thread of its own, so that one that is away costs the others
//! nothing. A queue is bounded; where it is full the oldest alerts go, counted: an alert that fires is sent again
//! every minute, so what is lost heals by itself. How bytes reach an Alertmanager is a trait that the binary
//! implements.

mod outlet;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::vector::write_text;
use parking_lot::Mutex;

use super::alerts::SentAlert;
use super::template::query_escape;
use outlet::Outlet;

pub use outlet::OutletCounts;

/// Alerts that wait for one Alertmanager.
const QUEUE_ALERTS_MAX: usize = 10_000;
/// Alerts in one request.
pub const BATCH_ALERTS_MAX: usize = 64;

/// An Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager {
    /// Where alerts are posted: `http://HOST:9093/api/v2/alerts`.
    pub url: String,
    /// How long a request may take.
    pub timeout: Duration,
    /// Who we are.
    pub credentials: Credentials,
}

/// Who we are to an Alertmanager.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

/// Secrets are for requests, not for messages.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// Why alerts did not reach an Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// Whether it may work another time.
    pub is_retryable: bool,
    /// What went wrong.
    pub message: String,
}

/// How alerts reach an Alertmanager. It blocks, for the Alertmanager's timeout at the most.
pub trait Deliver: Send + Sync {
    /// Posts a JSON body.
    fn post(&self, to: &Alertmanager, body: String) -> Result<(), DeliveryError>;
}

/// Sends alerts. Clones are the same.
#[derive(Clone)]
pub struct Notifier {
    inner: Arc<Inner>,
}

struct Inner {
    deliver: Arc<dyn Deliver>,
    outlets: Mutex<Outlets>,
}

/// Where alerts go, and what they carry along.
#[derive(Default)]
struct Outlets {
    all: Vec<Arc<Outlet>>,
    external_labels: Labels,
    external_url: Arc<str>,
    /// Whether outlets have threads.
    runs: bool,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Notifier").field(&self.counts()).finish()
    }
}

impl Notifier {
    /// A notifier that knows no Alertmanager yet.
    pub fn new(deliver: Arc<dyn Deliver>) -> Self {
        Self {
            inner: Arc::new(Inner {
                deliver,
                outlets: Mutex::new(Outlets::default()),
            }),
        }
    }

    /// From now on alerts go to these. What waits for one that stays goes on waiting.
    pub fn configure(
        &self,
        alertmanagers: &[Alertmanager],
        external_labels: Labels,
        external_url: Arc<str>,
    ) -> io::Result<()> {
        let mut outlets = self.inner.outlets.lock();
        let mut all = Vec::with_capacity(alertmanagers.len());
        for wanted in alertmanagers {
            let known = outlets.all.iter().find(|outlet| outlet.to == *wanted);
            let outlet = if let Some(outlet) = known {
                Arc::clone(outlet)
            } else {
                let outlet = Arc::new(Outlet::new(wanted.clone(), QUEUE_ALERTS_MAX));
                if outlets.runs {
                    outlet.start(&self.inner.deliver)?;
                }
                outlet
            };
            all.push(outlet);
        }
        let before = std::mem::replace(&mut outlets.all, all);
        for gone in before {
            if !outlets.all.iter().any(|outlet| Arc::ptr_eq(outlet, &gone)) {
                gone.abandon();
            }
        }
        outlets.external_labels = external_labels;
        outlets.external_url = external_url;
        Ok(())
    }

    /// Starts the threads that send.
    pub fn start(&self) -> io::Result<()> {
        let mut outlets = self.inner.outlets.lock();
        outlets.runs = true;
        for outlet in &outlets.all {
            outlet.start(&self.inner.deliver)?;
        }
        Ok(())
    }

    /// Sends what waits, as far as each Alertmanager takes it at once, and stops the threads.
    pub fn stop(&self) {
        let all = std::mem::take(&mut self.inner.outlets.lock().all);
        for outlet in &all {
            outlet.finish();
        }
        for outlet in &all {
            outlet.join();
        }
    }

    /// Queues alerts for every Alertmanager.
    pub fn send(&self, alerts: &[SentAlert]) {
        let outlets = self.inner.outlets.lock();
        if outlets.all.is_empty() {
            return;
        }
        let texts: Vec<Arc<str>> = alerts
            .iter()
            .map(|alert| json(alert, &outlets.external_labels, &outlets.external_url).into())
            .collect();
        for outlet in &outlets.all {
            outlet.push(&texts);
        }
    }

    /// Sends one batch to each Alertmanager, here and now. Whether there was one.
    pub fn send_one_batch(&self) -> bool {
        let all = self.inner.outlets.lock().all.clone();
        let mut sent = false;
        for outlet in all {
            sent |= outlet.send_one_batch(self.inner.deliver.as_ref());
        }
        sent
    }

    /// Where alerts go.
    pub fn urls(&self) -> Vec<String> {
        let outlets = self.inner.outlets.lock();
        let urls = outlets.all.iter().map(|outlet| outlet.to.url.clone());
        urls.collect()
    }

    /// What was counted of each Alertmanager.
    pub fn counts(&self) -> Vec<OutletCounts> {
        let outlets = self.inner.outlets.lock();
        outlets.all.iter().map(|outlet| outlet.counts()).collect()
    }

    /// Alerts that may wait for one Alertmanager.
    pub const fn capacity(&self) -> usize {
        QUEUE_ALERTS_MAX
    }
}

/// An alert as Alertmanager's API v2 takes it.
fn json(alert: &SentAlert, external_labels: &Labels, external_url: &str) -> String {
    let mut labels = alert.labels.to_builder();
    for (name, value) in external_labels {
        if alert.labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    let mut out = String::from("{\"annotations\":{");
    for (index, (name, value)) in alert.annotations.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(&mut out, name);
        out.push(':');
        write_text(&mut out, value);
    }
    out.push_str("},\"endsAt\":");
    let rfc_3339 = |at: model::time::Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
        at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    };
    write_text(&mut out, &rfc_3339(alert.ends_at));
    out.push_str(",\"startsAt\":");
    write_text(&mut out, &rfc_3339(alert.starts_at));
    out.push_str(",\"generatorURL\":");
    let expr = query_escape(&alert.expr);
    let base = external_url.trim_end_matches('/');
    write_text(&mut out, &format!("{base}/graph?g0.expr={expr}&g0.tab=1"));
    out.push_str(",\"labels\":");
    model::vector::write_labels(&mut out, &labels.build());
    out.push('}');
    out
}

#[cfg(test)]
mod tests;
