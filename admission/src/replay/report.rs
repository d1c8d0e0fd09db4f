//! What would change: counted by user, namespace, kind and rule, with examples.
//!
//! Bounded: of each list the first thousand names are told apart, and the rest counted together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::candidate::Now;
use super::record::Record;
use crate::verdict::Mode;
use crate::verdict::decision::Outcome;

/// How many names of a list are told apart.
const NAMES_MAX: usize = 1000;

/// How many changes are shown whole.
const EXAMPLES_MAX: usize = 20;

/// Names beyond [`NAMES_MAX`].
const OTHERS: &str = "(others)";

/// In which direction a decision would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Let through then, refused now.
    Denied,
    /// Refused then, let through now.
    Allowed,
    /// Refused both times, by other rules.
    DeniedOtherwise,
    /// Let through both times, now with a warning more.
    Warned,
    /// Let through both times, now with a warning less.
    NotWarned,
    /// Only what goes into the audit log is another.
    Audited,
}

impl Direction {
    /// All of them, in the order reports name them.
    pub const ALL: [Self; 6] = [
        Direction::Denied,
        Direction::Allowed,
        Direction::DeniedOtherwise,
        Direction::Warned,
        Direction::NotWarned,
        Direction::Audited,
    ];
}

/// How many decisions would change, by direction.
pub type Counts = BTreeMap<Direction, u64>;

/// One decision that would change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// When it was made.
    pub time: String,
    /// The request's id.
    pub uid: String,
    /// Who asked.
    pub user: String,
    /// For what.
    pub operation: String,
    /// Of what kind.
    pub kind: String,
    /// Where; empty for what is in no namespace.
    pub namespace: String,
    /// Of what name.
    pub name: String,
    /// How it would change.
    pub change: Direction,
    /// `RULE (MODE)` that speak against it now, and did not then.
    pub gained: Vec<String>,
    /// Those that did then, and do not now.
    pub lost: Vec<String>,
    /// What the first of those that speak now says.
    pub message: String,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines that were read.
    pub records: u64,
    /// Decisions that could be tried.
    pub replayed: u64,
    /// Decisions that would change.
    pub changes: Counts,
    /// The time of the first record.
    pub first: String,
    /// The time of the last.
    pub last: String,
    /// Changes by user.
    pub users: BTreeMap<String, Counts>,
    /// Changes by namespace.
    pub namespaces: BTreeMap<String, Counts>,
    /// Changes by kind.
    pub kinds: BTreeMap<String, Counts>,
    /// How often a rule speaks now that did not then.
    pub gained: BTreeMap<String, u64>,
    /// How often a rule spoke then that does not now.
    pub lost: BTreeMap<String, u64>,
    /// Decisions with redacted values, which the candidate was asked about twice.
    pub redacted: u64,
    /// Decisions that could not be tried, by reason.
    pub not_replayed: BTreeMap<String, u64>,
    /// The first changes, refusals before all others.
    pub examples: Vec<Change>,
}

impl Report {
    /// Whether anything would change.
    pub fn changes_anything(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn not_replayed(&mut self, problem: &str) {
        add(&mut self.not_replayed, problem, 1);
    }

    pub(super) fn seen(&mut self, time: &str) {
        if self.first.is_empty() || time < self.first.as_str() {
            self.first = time.to_string();
        }
        if time > self.last.as_str() {
            self.last = time.to_string();
        }
    }

    /// Counts a decision, if it would change.
    pub(super) fn compare(&mut self, record: &Record, now: &Now) {
        let rules = |hits: &[crate::verdict::decision::RuleHit]| -> BTreeSet<(String, Mode)> {
            hits.iter()
                .map(|hit| (hit.rule.clone(), hit.mode))
                .collect()
        };
        let (then_rules, now_rules) = (rules(&record.rules), rules(&now.hits));
        let gained: Vec<_> = now_rules.difference(&then_rules).collect();
        let lost: Vec<_> = then_rules.difference(&now_rules).collect();
        let refused = |outcome: Outcome| outcome != Outcome::Allow;
        let of = |list: &[&(String, Mode)], mode: Mode| list.iter().any(|(_, m)| *m == mode);
        let change = match (refused(record.verdict), refused(now.verdict)) {
            (false, true) => Direction::Denied,
            (true, false) => Direction::Allowed,
            (true, true) if of(&gained, Mode::Enforce) || of(&lost, Mode::Enforce) => {
                Direction::DeniedOtherwise
            }
            (false, false) if of(&gained, Mode::Warn) => Direction::Warned,
            (false, false) if of(&lost, Mode::Warn) => Direction::NotWarned,
            // Who is refused gets no warnings, so those say nothing of a refusal.
            (false, false) if !gained.is_empty() || !lost.is_empty() => Direction::Audited,
            _ => return,
        };
        let review = &record.review;
        *self.changes.entry(change).or_default() += 1;
        for (list, name) in [
            (&mut self.users, &review.user),
            (&mut self.namespaces, &review.namespace),
            (&mut self.kinds, &review.kind),
        ] {
            *entry(list, name).entry(change).or_default() += 1;
        }
        for (rule, _) in &gained {
            add(&mut self.gained, rule, 1);
        }
        for (rule, _) in &lost {
            add(&mut self.lost, rule, 1);
        }
        if self.examples.len() < EXAMPLES_MAX || change == Direction::Denied {
            let named = |list: &[&(String, Mode)]| {
                let of = list.iter().take(10);
                of.map(|(rule, mode)| format!("{rule} ({})", mode.as_str()))
                    .collect()
            };
            let says = now.hits.iter().find(|hit| {
                gained
                    .iter()
                    .any(|(rule, mode)| *rule == hit.rule && *mode == hit.mode)
            });
            self.examples.push(Change {
                time: record.time.clone(),
                uid: review.uid.clone(),
                user: review.user.clone(),
                operation: review.operation.as_str().to_string(),
                kind: review.kind.clone(),
                namespace: review.namespace.clone(),
                name: review.name.clone(),
                change,
                gained: named(&gained),
                lost: named(&lost),
                message: says.map(|hit| hit.message.clone()).unwrap_or_default(),
            });
            if self.examples.len() > 4 * EXAMPLES_MAX {
                self.finish();
            }
        }
    }

    pub(super) fn merge(&mut self, other: Report) {
        self.records += other.records;
        self.replayed += other.replayed;
        self.redacted += other.redacted;
        for time in [&other.first, &other.last] {
            if !time.is_empty() {
                self.seen(time);
            }
        }
        for (change, count) in other.changes {
            *self.changes.entry(change).or_default() += count;
        }
        for (mine, theirs) in [
            (&mut self.users, other.users),
            (&mut self.namespaces, other.namespaces),
            (&mut self.kinds, other.kinds),
        ] {
            for (name, counts) in theirs {
                let mine = entry(mine, &name);
                for (change, count) in counts {
                    *mine.entry(change).or_default() += count;
                }
            }
        }
        for (mine, theirs) in [
            (&mut self.gained, other.gained),
            (&mut self.lost, other.lost),
            (&mut self.not_replayed, other.not_replayed),
        ] {
            for (name, count) in theirs {
                add(mine, &name, count);
            }
        }
        self.examples.extend(other.examples);
    }

    /// Puts the examples in order, refusals first and then by time, and keeps the first.
    pub(super) fn finish(&mut self) {
        self.examples
            .sort_by(|a, b| (a.change, a).cmp(&(b.change, b)));
        self.examples.truncate(EXAMPLES_MAX);
    }
}

/// The counts of a name, or those of all others where there are too many names.
fn entry<'a>(list: &'a mut BTreeMap<String, Counts>, name: &str) -> &'a mut Counts {
    let full = list.len() >= NAMES_MAX && !list.contains_key(name);
    list.entry(if full { OTHERS } else { name }.to_string())
        .or_default()
}

fn add(list: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    let full = list.len() >= NAMES_MAX && !list.contains_key(name);
    *list
        .entry(if full { OTHERS } else { name }.to_string())
        .or_default() += count;
}
