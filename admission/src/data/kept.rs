//! Answers that serve a whole audit.
//!
//! An audit asks the same of thousands of objects, at one moment for all of them. An answer is kept until the audit is over; what went
//! unanswered is asked again, for an audit takes long enough that somebody may be back.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Answer, Bounds, DataError, DataSource, Question};

/// How many answers are kept: at the default bound of each these are 32 MiB.
const ANSWERS_MAX: usize = 1024;

/// A source whose answers are kept.
pub(crate) struct KeptAnswers {
    source: Arc<dyn DataSource>,
    answers: Mutex<HashMap<Question, Answer>>,
}

impl KeptAnswers {
    pub(crate) fn of(source: Arc<dyn DataSource>) -> Self {
        KeptAnswers {
            source,
            answers: Mutex::default(),
        }
    }
}

impl DataSource for KeptAnswers {
    fn ask(&self, question: &Question, bounds: Bounds) -> Result<Answer, DataError> {
        if let Some(answer) = self.answers.lock().get(question) {
            return Ok(answer.clone());
        }
        let answer = self.source.ask(question, bounds)?;
        // What is too large for one review would be for all of them.
        answer.clone().bounded(bounds)?;
        let mut answers = self.answers.lock();
        if answers.len() < ANSWERS_MAX {
            answers.insert(question.clone(), answer.clone());
        }
        Ok(answer)
    }
}
