//! What was answered about pods lately.
//!
//! Most pods are alike: a workload has replicas, is rolled out and restarted, and its pods differ in what no rule looks at.
//! The rules of Pod Security say of a pod what they said of one that [looks](crate::rego::plan::Reads) the same to them, so that is
//! not asked again. Held against each other is all that they look at, byte by byte; nothing is decided by a hash.
//!
//! Only answers of a plan that looks at nothing but its input are kept: neither a cluster nor metrics, and no interpreter's, which
//! sees more. They go with the bundle that gave them, and how many there are is bounded, as is the size of each.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use super::input::PodInput;
use crate::pod_security::LevelVersion;
use crate::rego::plan::{Key, Reads, TooLong};
use crate::verdict::Violation;

/// Sets of questions; a question belongs to one of them.
const SETS: usize = 64;

/// How many answers a set holds: those that were asked for last.
const ANSWERS: usize = 4;

/// How long a question is that is remembered. What is looked at of most pods is a tenth of this.
const QUESTION_BYTES_MAX: usize = 8 << 10;

/// A pod and a level as the rules see them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question(Box<[u8]>);

impl Question {
    /// None where it is too long to be remembered.
    pub(super) fn new(pod: PodInput<'_>, reads: &Reads, policy: LevelVersion) -> Option<Self> {
        let write = || {
            let mut key = Key::new(QUESTION_BYTES_MAX);
            key.raw(&policy.version.judged_as().to_le_bytes())?;
            key.raw(policy.level.as_str().as_bytes())?;
            pod.write(reads, &mut key)?;
            Ok::<_, TooLong>(key.into_bytes().into_boxed_slice())
        };
        write().ok().map(Question)
    }
}

/// The last answers.
#[derive(Debug)]
pub(super) struct Remembered {
    hasher: RandomState,
    sets: Box<[Mutex<Vec<Known>>]>,
}

#[derive(Debug)]
struct Known {
    question: Question,
    answer: Arc<[Violation]>,
}

impl Default for Remembered {
    fn default() -> Self {
        Remembered {
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Remembered {
    /// What was answered to this question.
    pub(super) fn answer(&self, question: &Question) -> Option<Arc<[Violation]>> {
        let mut set = self.set(question)?.lock();
        let place = set.iter().position(|known| known.question == *question)?;
        set.get_mut(..=place)?.rotate_right(1);
        set.first().map(|known| known.answer.clone())
    }

    /// Keeps an answer, in the place of the one of its set that nobody has asked for the longest.
    pub(super) fn keep(&self, question: Question, answer: Arc<[Violation]>) {
        let Some(set) = self.set(&question) else {
            return;
        };
        let mut set = set.lock();
        // Two may have asked the same at the same time.
        if set.iter().any(|known| known.question == question) {
            return;
        }
        set.truncate(ANSWERS - 1);
        set.insert(0, Known { question, answer });
    }

    fn set(&self, question: &Question) -> Option<&Mutex<Vec<Known>>> {
        let hash = self.hasher.hash_one(&question.0);
        self.sets.get(hash as usize % SETS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::bundle::{Bundle, load::Module};
    use crate::pod_security::Level;

    const LIMIT: Duration = Duration::from_mins(1);

    fn question(bundle: &Bundle, spec: &Value, level: Level) -> Option<Question> {
        let metadata = Value::Null;
        let pod = PodInput::new(&metadata, spec);
        Question::new(pod, &bundle.rules.pod_reads, LevelVersion::latest(level))
    }

    fn spec(image: &str, user: i64) -> Value {
        json!({"containers": [{"name": "c", "image": image, "securityContext": {"runAsUser": user}}]})
    }

    #[test]
    fn a_pod_is_like_another_where_no_rule_tells_them_apart() {
        let bundle = Bundle::embedded().unwrap();
        let asked = |spec: &Value, level| question(&bundle, spec, level).unwrap();
        let one = asked(&spec("a", 1), Level::Restricted);
        assert_eq!(one, asked(&spec("b", 1), Level::Restricted));
        assert_ne!(one, asked(&spec("a", 0), Level::Restricted));
        assert_ne!(one, asked(&spec("a", 1), Level::Baseline));
    }

    #[test]
    fn what_was_answered_is_answered_again_and_no_more_is_kept_than_there_is_room() {
        let bundle = Bundle::embedded().unwrap();
        let metadata = Value::Null;
        let policy = LevelVersion::latest(Level::Restricted);
        let ask = |user| {
            let spec = spec("a", user);
            let pod = PodInput::new(&metadata, &spec);
            bundle.pod_violations(pod, policy, LIMIT).unwrap()
        };
        let remembered = bundle.rules.remembered.as_ref().unwrap();
        let kept = |user| {
            let question = question(&bundle, &spec("b", user), Level::Restricted).unwrap();
            remembered.answer(&question)
        };
        let (root, other) = (ask(0), ask(1));
        assert_ne!(root, other);
        assert_eq!(kept(0).as_deref(), Some(&*root));
        assert_eq!(kept(1).as_deref(), Some(&*other));
        for user in 2..2_000 {
            ask(user);
            // It is asked for all the time, so it stays.
            assert_eq!(kept(0).as_deref(), Some(&*root));
        }
        let all = remembered.sets.iter().map(|set| set.lock().len());
        assert_eq!(all.sum::<usize>(), SETS * ANSWERS);
        assert_eq!((ask(0), ask(1)), (root, other));
    }

    #[test]
    fn a_pod_that_is_too_large_is_asked_about_each_time() {
        let bundle = Bundle::embedded().unwrap();
        let containers: Vec<_> = (0..2_000)
            .map(|i| json!({"name": format!("c{i}")}))
            .collect();
        let spec = json!({"containers": containers});
        assert_eq!(question(&bundle, &spec, Level::Restricted), None);
        let metadata = Value::Null;
        let policy = LevelVersion::latest(Level::Restricted);
        let ask = || {
            bundle
                .pod_violations(PodInput::new(&metadata, &spec), policy, LIMIT)
                .unwrap()
        };
        assert_eq!(ask(), ask());
    }

    /// What a rule is told by others changes.
    #[test]
    fn rules_that_ask_others_are_asked_each_time() {
        for (expression, remembers) in [("true", true), ("netpol.reaches({})", false)] {
            let text = format!(
                "package pod_security\n\n\
                 violations := [v | input.pod.metadata.name == \"p\"; {expression}; v := {{}}]\n"
            );
            let path = "main.rego".to_string();
            let compiled = Bundle::compile(&[Module { path, text }]);
            assert_eq!(
                compiled.unwrap().rules.remembered.is_some(),
                remembers,
                "{expression}"
            );
        }
    }
}
