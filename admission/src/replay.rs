//! A candidate policy, tried on decisions that were made.
//!
//! A recorded decision holds its request as far as it may be kept, the labels of its namespace and what data answered,
//! so a candidate can be asked what it would have said. Only what the candidate replaces is asked again: a
//! constraint takes the place of the one of its kind and name, modules and levels that of Pod Security's
//! checks; what other rules said then is kept, and the verdict is made of both.
//!
//! What cannot be known is never guessed. A record without its request, a template that asks for other objects, a
//! question that nobody asked then: these are counted as not replayed, with the reason. Where values were
//! redacted the candidate is asked twice, with different values in their places; if that makes a difference its
//! answer is none.

mod candidate;
pub(crate) mod record;
mod report;

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use candidate::{Candidate, CandidateError, Scope};
pub use report::{Change, Counts, Direction, Report};

use crate::verdict::redact::MARK;
use record::Record;

/// No record takes longer.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// How many lines go to a worker at once, and how many such batches wait.
const BATCH_LINES: usize = 64;
const BATCHES_WAITING: usize = 8;

impl Candidate {
    /// Tries the candidate on one line of the log.
    pub fn replay(&self, line: &str, report: &mut Report) {
        report.records += 1;
        let record = match Record::read(line) {
            Ok(record) => record,
            Err(problem) => return report.not_replayed(&problem),
        };
        report.seen(&record.time);
        let deadline = Instant::now() + RECORD_LIMIT;
        let now = match self.ask(&record, deadline) {
            Ok(now) => now,
            Err(problem) => return report.not_replayed(&problem),
        };
        if self.reads_values() && line.contains(MARK) {
            report.redacted += 1;
            let other = line.replace(MARK, "");
            let same = Record::read(&other)
                .ok()
                .and_then(|other| self.ask(&other, deadline).ok())
                .is_some_and(|other| other.is_as(&now));
            if !same {
                let problem = "its verdict depends on values that were redacted";
                return report.not_replayed(problem);
            }
        }
        report.replayed += 1;
        report.compare(&record, &now);
    }

    /// Tries the candidate on all lines, on so many threads. An error of the lines ends it.
    pub fn replay_all<E: Send>(
        &self,
        lines: impl Iterator<Item = Result<String, E>>,
        workers: usize,
    ) -> Result<Report, E> {
        let (send, receive) = sync_channel::<Vec<String>>(BATCHES_WAITING);
        let receive = Mutex::new(receive);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers.max(1))
                .map(|_| scope.spawn(|| self.work(&receive)))
                .collect();
            let mut batch = Vec::with_capacity(BATCH_LINES);
            let mut problem = None;
            for line in lines {
                match line {
                    Ok(line) => batch.push(line),
                    Err(error) => {
                        problem = Some(error);
                        break;
                    }
                }
                // Nobody receives any more only if the workers panicked, which their joining tells.
                if batch.len() == BATCH_LINES && send.send(std::mem::take(&mut batch)).is_err() {
                    break;
                }
            }
            let _ = send.send(batch);
            drop(send);
            let mut whole = Report::default();
            for worker in workers {
                match worker.join() {
                    Ok(report) => whole.merge(report),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            whole.finish();
            problem.map_or(Ok(whole), Err)
        })
    }

    fn work(&self, batches: &Mutex<Receiver<Vec<String>>>) -> Report {
        let mut report = Report::default();
        loop {
            // The lock is held while waiting: whoever has it gets the next batch.
            let batch = batches.lock().recv();
            let Ok(batch) = batch else {
                return report;
            };
            for line in batch.iter().filter(|line| !line.trim().is_empty()) {
                self.replay(line, &mut report);
            }
        }
    }
}

#[cfg(test)]
mod tests;
