//! All groups: loaded together or not at all, each evaluated when it is due.
//!
//! A few workers evaluate groups, the one that is most overdue first, and a group never beside itself.
//! What was due while a group was still at work is missed, and counted. A reload reads every file before it changes
//! anything; a group whose file says what it said goes on undisturbed, one that changed takes over the state
//! of the rules it still has, and the series of what is gone are ended two intervals later, unless another group has
//! begun to give them.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::labels::Labels;
use model::time::Timestamp;
use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus_client::registry::Registry;
use storage::clock::Clock;

use super::alerts::SentAlert;
use super::counters::{RuleCounters, RulesCollector};
use super::evaluator::{Evaluator, Store};
use super::file::{self, FILE_BYTES_MAX};
use super::group::{Bench, Group, GroupSettings, end_series};
use super::notifier::{Alertmanager, Notifier};
use crate::query::parser::STACK_BYTES;

/// Groups that are evaluated at once.
const WORKERS: usize = 4;
/// How long a worker waits at the most before it looks at the clock again.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// From one sending of an alert to the next.
const RESEND_DELAY_MS: i64 = 60_000;
/// How long nobody may have looked for the state of alerts to be restored.
const OUTAGE_TOLERANCE_MS: i64 = 3_600_000;
/// How long a restored alert is pending at least.
const GRACE_PERIOD_MS: i64 = 600_000;

/// What is configured of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesConfig {
    /// Rule files, or globs of them.
    pub files: Vec<String>,
    /// From one evaluation of a group to the next, where the group does not say.
    pub evaluation_interval_ms: i64,
    /// How far in the past rules look, where the group does not say.
    pub query_offset_ms: i64,
    /// The labels that name this server, in templates and in what is sent.
    pub external_labels: Labels,
    /// Where people reach this server.
    pub external_url: Arc<str>,
    /// Whom alerts are sent to.
    pub alertmanagers: Vec<Alertmanager>,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            evaluation_interval_ms: 60_000,
            query_offset_ms: 0,
            external_labels: Labels::empty(),
            external_url: "http://127.0.0.1:9440".into(),
            alertmanagers: Vec::new(),
        }
    }
}

/// Why rules could not be loaded; a line for each mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct LoadError(pub Vec<String>);

/// What became of the last reload.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastReload {
    /// Whether it was taken.
    pub succeeded: bool,
    /// When the last one was that was.
    pub success_at: Timestamp,
}

/// Keeps the groups. Clones are the same.
#[derive(Clone)]
pub struct RuleManager {
    inner: Arc<Inner>,
}

struct Inner {
    bench: Bench,
    notifier: Notifier,
    clock: Arc<dyn Clock>,
    schedule: Mutex<Schedule>,
    /// A group was added, or has been evaluated, or everything is to end.
    changed: Condvar,
    /// One reload at a time.
    reloading: Mutex<()>,
    last_reload: Mutex<LastReload>,
}

#[derive(Default)]
struct Schedule {
    slots: Vec<Slot>,
    departed: Vec<Departed>,
    /// Whether rules were loaded before.
    has_loaded: bool,
    is_ending: bool,
}

/// A group and when it is due.
struct Slot {
    group: Arc<Group>,
    due: Timestamp,
    is_running: bool,
}

/// Series of a group that is gone.
struct Departed {
    due: Timestamp,
    at: Timestamp,
    series: Vec<Labels>,
}

/// What a worker does next.
enum Next {
    Evaluate(Arc<Group>, Timestamp),
    End(Departed),
    Wait(Duration),
}

impl std::fmt::Debug for RuleManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let groups = self.groups().len();
        f.debug_struct("RuleManager")
            .field("groups", &groups)
            .finish()
    }
}

impl RuleManager {
    /// A manager without rules.
    pub fn new(
        evaluator: Arc<dyn Evaluator>,
        store: Arc<dyn Store>,
        notifier: Notifier,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let sends = notifier.clone();
        let bench = Bench {
            evaluator,
            store,
            sender: Arc::new(move |alerts: Vec<SentAlert>| sends.send(&alerts)),
            counters: Arc::new(RuleCounters::default()),
            resend_delay_ms: RESEND_DELAY_MS,
            outage_tolerance_ms: OUTAGE_TOLERANCE_MS,
            grace_period_ms: GRACE_PERIOD_MS,
        };
        Self {
            inner: Arc::new(Inner {
                bench,
                notifier,
                clock,
                schedule: Mutex::new(Schedule::default()),
                changed: Condvar::new(),
                reloading: Mutex::new(()),
                last_reload: Mutex::new(LastReload::default()),
            }),
        }
    }

    /// Makes the counters part of what `registry` exposes, under upstream's names.
    pub fn register(&self, registry: &mut Registry) {
        let notifier = self.inner.notifier.clone();
        let collector = RulesCollector::new(self.clone(), notifier);
        registry.register_collector(Box::new(collector));
    }

    /// The groups, by file and name.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let schedule = self.inner.schedule.lock();
        let mut groups: Vec<Arc<Group>> =
            (schedule.slots.iter().map(|slot| Arc::clone(&slot.group))).collect();
        groups.sort_by(|a, b| (&a.file, &a.spec.name).cmp(&(&b.file, &b.spec.name)));
        groups
    }

    /// Where alerts go.
    pub fn notifier(&self) -> &Notifier {
        &self.inner.notifier
    }

    pub(super) fn counters(&self) -> &RuleCounters {
        &self.inner.bench.counters
    }

    /// What became of the last reload.
    pub fn last_reload(&self) -> LastReload {
        *self.inner.last_reload.lock()
    }

    /// Reads the rules that `config` names and goes on with them; with those there are if there is a
    /// mistake anywhere.
    pub fn load(&self, config: &RulesConfig) -> Result<(), LoadError> {
        let _one_at_a_time = self.inner.reloading.lock();
        self.inner.last_reload.lock().succeeded = false;
        let now = self.inner.clock.now();
        let check = |expr: &str| self.inner.bench.evaluator.check(expr);
        let specs = read_files(&config.files, &check)?;
        let notifier = &self.inner.notifier;
        notifier
            .configure(
                &config.alertmanagers,
                config.external_labels.clone(),
                Arc::clone(&config.external_url),
            )
            .map_err(|error| LoadError(vec![format!("alertmanagers: {error}")]))?;
        let mut wanted = Vec::new();
        for (file, spec) in specs {
            let interval = spec.interval_ms;
            let settings = GroupSettings {
                interval_ms: interval.unwrap_or(config.evaluation_interval_ms),
                query_offset_ms: spec.query_offset_ms.unwrap_or(config.query_offset_ms),
                external_labels: config.external_labels.clone(),
                external_url: Arc::clone(&config.external_url),
            };
            wanted.push((file, spec, settings));
        }
        let mut schedule = self.inner.schedule.lock();
        let restores = !schedule.has_loaded;
        schedule.has_loaded = true;
        let mut before = self.take_idle(&mut schedule, &wanted);
        for (file, spec, settings) in wanted {
            let place = before
                .iter()
                .position(|slot| slot.group.file == file && slot.group.spec.name == spec.name);
            let old = place.map(|place| before.swap_remove(place));
            let slot = match old {
                Some(old) if old.group.spec == spec && old.group.settings == settings => old,
                old => {
                    // One that changes while it waits for the state of alerts goes on waiting.
                    let restores = (old.as_ref()).map_or(restores, |old| old.group.is_restoring());
                    let group = Group::new(spec, file, settings, restores);
                    if let Some(old) = old {
                        group.adopt(&old.group);
                    }
                    let interval = group.settings.interval_ms;
                    Slot {
                        due: group.slot(now).saturating_add(interval),
                        group: Arc::new(group),
                        is_running: false,
                    }
                }
            };
            schedule.slots.push(slot);
        }
        for gone in before {
            schedule.departed.push(Departed {
                due: now.saturating_add(gone.group.settings.interval_ms.saturating_mul(2)),
                at: now,
                series: gone.group.live_series(),
            });
        }
        drop(schedule);
        self.inner.changed.notify_all();
        *self.inner.last_reload.lock() = LastReload {
            succeeded: true,
            success_at: now,
        };
        Ok(())
    }

    /// Takes every group out, once those that will change are not at work.
    fn take_idle(
        &self,
        schedule: &mut MutexGuard<'_, Schedule>,
        wanted: &[(Arc<str>, file::GroupSpec, GroupSettings)],
    ) -> Vec<Slot> {
        let changes = |group: &Group| {
            !(wanted.iter()).any(|(file, spec, settings)| {
                *file == group.file && *spec == group.spec && *settings == group.settings
            })
        };
        loop {
            let mut slots = schedule.slots.iter();
            if !slots.any(|slot| slot.is_running && changes(&slot.group)) {
                return std::mem::take(&mut schedule.slots);
            }
            self.inner.changed.wait(schedule);
        }
    }

    /// Evaluates what is due now, one after another. Tests call this; the workers do the same.
    pub fn run_due(&self) {
        while let Next::Evaluate(..) | Next::End(_) = self.run_one() {}
    }

    fn run_one(&self) -> Next {
        let next = self.claim();
        match &next {
            Next::Evaluate(group, at) => {
                group.evaluate(&self.inner.bench, *at);
                let mut schedule = self.inner.schedule.lock();
                let mut slots = schedule.slots.iter_mut();
                if let Some(slot) = slots.find(|slot| Arc::ptr_eq(&slot.group, group)) {
                    slot.is_running = false;
                }
                drop(schedule);
                self.inner.changed.notify_all();
            }
            Next::End(departed) => {
                let lives: BTreeSet<Labels> = self
                    .groups()
                    .iter()
                    .flat_map(|group| group.live_series())
                    .collect();
                let mut series = departed.series.clone();
                series.retain(|labels| !lives.contains(labels));
                end_series(&self.inner.bench, series, departed.at);
            }
            Next::Wait(_) => {}
        }
        next
    }

    /// The group that is most overdue, marked as running; or how long there is nothing to do.
    fn claim(&self) -> Next {
        let now = self.inner.clock.now();
        let mut schedule = self.inner.schedule.lock();
        if let Some(place) = schedule.departed.iter().position(|one| one.due <= now) {
            return Next::End(schedule.departed.swap_remove(place));
        }
        for slot in &mut schedule.slots {
            // A clock that was set back must not keep a group waiting.
            let next = slot
                .group
                .slot(now)
                .saturating_add(slot.group.settings.interval_ms);
            slot.due = slot.due.min(next);
        }
        let idle = schedule.slots.iter_mut().filter(|slot| !slot.is_running);
        match idle.min_by_key(|slot| slot.due) {
            Some(slot) if slot.due <= now => {
                let interval = slot.group.settings.interval_ms.max(1);
                let late = now.millis().saturating_sub(slot.due.millis());
                let missed = late.checked_div(interval).unwrap_or_default().max(0);
                let counters = &slot.group.counters;
                for counter in [&counters.missed, &counters.iterations] {
                    counter.fetch_add(missed.unsigned_abs(), std::sync::atomic::Ordering::Relaxed);
                }
                let at = slot.due.saturating_add(missed.saturating_mul(interval));
                slot.due = at.saturating_add(interval);
                slot.is_running = true;
                Next::Evaluate(Arc::clone(&slot.group), at)
            }
            Some(slot) => {
                let millis = slot.due.millis().saturating_sub(now.millis());
                Next::Wait(Duration::from_millis(millis.unsigned_abs()).min(WAIT_MAX))
            }
            None => Next::Wait(WAIT_MAX),
        }
    }

    /// Starts the threads that evaluate and send.
    pub fn start(&self) -> io::Result<RunningRules> {
        self.inner.notifier.start()?;
        let mut workers = Vec::with_capacity(WORKERS);
        for _ in 0..WORKERS {
            let manager = self.clone();
            let thread = std::thread::Builder::new().name("rules".to_owned());
            let thread = thread.stack_size(STACK_BYTES);
            workers.push(thread.spawn(move || manager.work())?);
        }
        Ok(RunningRules {
            manager: self.clone(),
            workers,
        })
    }

    fn work(&self) {
        loop {
            if self.inner.schedule.lock().is_ending {
                return;
            }
            if let Next::Wait(duration) = self.run_one() {
                let mut schedule = self.inner.schedule.lock();
                if schedule.is_ending {
                    return;
                }
                self.inner.changed.wait_for(&mut schedule, duration);
            }
        }
    }
}

/// The threads that evaluate and send.
#[derive(Debug)]
pub struct RunningRules {
    manager: RuleManager,
    workers: Vec<JoinHandle<()>>,
}

impl RunningRules {
    /// Ends what is under way, and sends what waits.
    pub fn stop(self) {
        self.manager.inner.schedule.lock().is_ending = true;
        self.manager.inner.changed.notify_all();
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a thread that evaluates rules had panicked");
            }
        }
        self.manager.inner.notifier.stop();
    }
}

/// The groups of every file that a pattern names, each file once.
pub fn read_files(
    patterns: &[String],
    check: file::CheckExpr<'_>,
) -> Result<Vec<(Arc<str>, file::GroupSpec)>, LoadError> {
    let mut paths = BTreeSet::new();
    let mut errors = Vec::new();
    for pattern in patterns {
        match glob::glob(pattern) {
            Ok(found) => {
                for path in found {
                    match path {
                        Ok(path) => {
                            paths.insert(path);
                        }
                        Err(error) => errors.push(format!("{pattern}: {error}")),
                    }
                }
            }
            Err(error) => errors.push(format!("{pattern}: no pattern of files: {error}")),
        }
    }
    let mut groups = Vec::new();
    for path in paths {
        match read_file(&path, check) {
            Ok(specs) => {
                let file: Arc<str> = path.to_string_lossy().into();
                groups.extend(specs.into_iter().map(|spec| (Arc::clone(&file), spec)));
            }
            Err(mut mistakes) => errors.append(&mut mistakes),
        }
    }
    if errors.is_empty() {
        Ok(groups)
    } else {
        Err(LoadError(errors))
    }
}

/// The groups of one file, or its mistakes, each with the file's name in front.
pub fn read_file(
    path: &Path,
    check: file::CheckExpr<'_>,
) -> Result<Vec<file::GroupSpec>, Vec<String>> {
    let shown = path.display();
    let text = read_bounded(path).map_err(|error| vec![format!("{shown}: {error}")])?;
    file::parse(&text, check).map_err(|mistakes| {
        let mistakes = mistakes.iter();
        mistakes.map(|error| format!("{shown}: {error}")).collect()
    })
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX as u64 {
        let message = format!("larger than {FILE_BYTES_MAX} bytes; divide it");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    std::fs::read_to_string(path)
}
