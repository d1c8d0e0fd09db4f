//! A module with its libraries, mended, checked, compiled, and asked for one rule.
//!
//! Two engines stand behind a program. The first takes a builtin's error for an error. Where one
//! occurs, the second is asked, which makes the call undefined as OPA does: its answer counts, and
//! the error is told beside it. So an evaluation in which nothing fails runs once, and one in which
//! something does never hides it.
//!
//! Before either of them a plan of the rule is asked, where there is one: it is many times faster, and leaves whatever
//! fails to the engines.
//!
//! Engines are large, and those of a rule with a plan are made when it needs them: most never do.
//!
//! A prepared engine is cloned for each question: the clone shares the compiled rules, and takes
//! its own input and time limit.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use super::plan::{Fault, Function, Plan};
use super::prepare::template;
use super::{
    Edition, Errors, LENGTHS, Refusal, Text, bounds, builtins, elements, install, message,
    or_panicked,
};
use crate::data::{self, Allowed};

/// How many steps the interpreter takes between two looks at the clock: a look costs some tens
/// of nanoseconds, a step about as much.
const STEPS_BETWEEN_CLOCK_LOOKS: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// A rule that can be asked.
pub struct Program {
    rule: String,
    plan: Option<Plan>,
    /// What engines are made of, while there are none.
    modules: Vec<Text>,
    engines: OnceLock<Engines>,
    with_data: Mutex<Option<WithData>>,
    asks_data: bool,
}

/// Two engines that are alike but for what they make of errors.
struct Engines {
    strict: Engine,
    lenient: Engine,
}

impl Engines {
    /// Compiles modules for one rule.
    fn new(modules: &[Text], rule: &str) -> Result<Self, Refusal> {
        let mut strict = Engine::new();
        strict.set_policy_length_config(LENGTHS);
        strict.set_gather_prints(true);
        for module in modules {
            let rego = &elements::counted(module)?.rego;
            install(&mut strict, rego, Errors::Swallowed);
            strict.set_rego_v0(module.edition == Edition::V0);
            strict
                .add_policy(module.name.clone(), rego.clone())
                .map_err(|error| Refusal::from_regorus(&module.name, &error))?;
        }
        let entry = modules.first().map(|module| module.name.as_str());
        let mut lenient = strict.clone();
        strict.set_strict_builtin_errors(true);
        lenient.set_strict_builtin_errors(false);
        for engine in [&mut strict, &mut lenient] {
            engine
                .compile_with_entrypoint(&rule.into())
                .map_err(|error| Refusal::from_regorus(entry.unwrap_or_default(), &error))?;
            // The first question prepares an engine, and its clones are prepared then too. There
            // is no input yet, so its answer is of no interest.
            set_limit(engine, Duration::from_secs(1));
            engine.set_input(Value::new_object());
            let _ = or_panicked(|| engine.eval_rule(rule.to_string()));
        }
        builtins::swallowed();
        data::failure();
        Ok(Engines { strict, lenient })
    }

    fn choose(&self, errors: Errors) -> Engine {
        match errors {
            Errors::Told => self.strict.clone(),
            Errors::Swallowed => self.lenient.clone(),
        }
    }
}

/// Engines that hold a document, kept for as long as it is the same.
struct WithData {
    data: Arc<Value>,
    engines: Engines,
}

/// What a rule answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its value; undefined where it has none.
    pub value: Value,
    /// The first error of a builtin, which made its expression undefined.
    pub swallowed: Option<String>,
    /// What the program printed.
    pub printed: Vec<String>,
}

/// Why a rule gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It ran out of time.
    #[error("the evaluation took longer than {} ms", .0.as_millis())]
    Time(Duration),
    /// It cannot be evaluated for this input.
    #[error("{0}")]
    Failed(String),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles `entry` with `libraries`; `rule` is the rule of `entry` to be asked, `roots` the
    /// documents below `data` that modules may use.
    pub fn new(
        entry: &Text,
        libraries: &[Text],
        rule: &str,
        roots: &[&str],
    ) -> Result<Self, Refusal> {
        Program::allowing(entry, libraries, rule, roots, Allowed::default())
    }

    /// As [`Program::new`], with those of the builtins that ask the data.
    pub fn allowing(
        entry: &Text,
        libraries: &[Text],
        rule: &str,
        roots: &[&str],
        allowed: Allowed,
    ) -> Result<Self, Refusal> {
        let prepared = template(entry, libraries, rule, roots, allowed)?;
        let rule = prepared.rule;
        let mut engines = Engines::new(&prepared.modules, &rule)?;
        let plan = Plan::of(engines.strict.get_modules(), &rule, &function);
        let (engines, modules) = match plan {
            Some(_) => (OnceLock::new(), prepared.modules),
            None => (OnceLock::from(engines), Vec::new()),
        };
        Ok(Program {
            rule,
            plan,
            modules,
            engines,
            with_data: Mutex::new(None),
            asks_data: prepared.asks_data,
        })
    }

    /// Whether it asks for documents that stand below `data`.
    pub fn asks_data(&self) -> bool {
        self.asks_data
    }

    /// Asks the rule about `input`, for no longer than `limit`. `data` is what stands below `data`.
    pub fn ask(
        &self,
        input: &Value,
        data: &Arc<Value>,
        limit: Duration,
    ) -> Result<Answer, ProgramError> {
        let begun = Instant::now();
        match self.ask_plan(input, data, begun + limit)? {
            Some(answer) => Ok(answer),
            None => self.interpret(input, data, limit.saturating_sub(begun.elapsed())),
        }
    }

    /// As [`Program::ask`], by the interpreter alone.
    pub fn interpret(
        &self,
        input: &Value,
        data: &Arc<Value>,
        limit: Duration,
    ) -> Result<Answer, ProgramError> {
        let begun = Instant::now();
        let strict = self.engine(data, Errors::Told)?;
        builtins::swallowed();
        data::failure();
        let first = self.run(strict, input, limit);
        let ours = builtins::swallowed();
        // A question without an answer is no error that a policy may pass over.
        if let Some(problem) = data::failure() {
            return Err(ProgramError::Failed(problem));
        }
        match first {
            Ok(mut answer) => {
                answer.swallowed = ours;
                Ok(answer)
            }
            // Nothing makes that undefined.
            Err(ProgramError::Failed(_)) if bounds::is_spent() => {
                Err(ProgramError::Failed(Fault::Size.to_string()))
            }
            Err(ProgramError::Failed(problem)) => {
                let left = limit.saturating_sub(begun.elapsed());
                let lenient = self.engine(data, Errors::Swallowed)?;
                let mut answer = self.run(lenient, input, left)?;
                builtins::swallowed();
                if let Some(problem) = data::failure() {
                    return Err(ProgramError::Failed(problem));
                }
                answer.swallowed = Some(ours.unwrap_or(problem));
                Ok(answer)
            }
            Err(error) => Err(error),
        }
    }

    /// What the plan answers; none where there is no plan, or something fails of which it does not know what follows.
    pub(super) fn ask_plan(
        &self,
        input: &Value,
        data: &Value,
        deadline: Instant,
    ) -> Result<Option<Answer>, ProgramError> {
        let Some(plan) = &self.plan else {
            return Ok(None);
        };
        let begun = Instant::now();
        builtins::swallowed();
        data::failure();
        bounds::begin();
        let value = plan.ask(input, data, deadline);
        // A question without an answer is no error that a policy may pass over.
        if let Some(problem) = data::failure() {
            return Err(ProgramError::Failed(problem));
        }
        match value {
            Ok(value) => Ok(Some(Answer {
                value,
                swallowed: builtins::swallowed(),
                printed: Vec::new(),
            })),
            Err(Fault::Failed) => Ok(None),
            Err(fault @ (Fault::Size | Fault::Panicked)) => {
                Err(ProgramError::Failed(fault.to_string()))
            }
            Err(Fault::Time) => Err(ProgramError::Time(deadline.duration_since(begun))),
        }
    }

    /// What the plan answers that is given no more of the input than it looks at; none as with [`Program::ask`]'s plan.
    pub fn ask_of_what_is_read(
        &self,
        input: &serde_json::Value,
        data: &Value,
        limit: Duration,
    ) -> Result<Option<Answer>, ProgramError> {
        let reads = self.plan.as_ref().map(Plan::reads).unwrap_or_default();
        let input = reads.value_of(input, |_| true);
        self.ask_plan(&input, data, Instant::now() + limit)
    }

    #[cfg(test)]
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Whether a plan answers, and not the interpreter alone.
    pub fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// A clone of an engine with the document in it. Only the one that is asked is cloned: a clone costs as
    /// much as a small evaluation.
    fn engine(&self, data: &Arc<Value>, errors: Errors) -> Result<Engine, ProgramError> {
        let engines = if let Some(engines) = self.engines.get() {
            engines
        } else {
            let made = Engines::new(&self.modules, &self.rule).map_err(failed)?;
            self.engines.get_or_init(|| made)
        };
        if !self.asks_data {
            return Ok(engines.choose(errors));
        }
        let mut kept = self.with_data.lock();
        if let Some(kept) = kept.as_ref().filter(|kept| Arc::ptr_eq(&kept.data, data)) {
            return Ok(kept.engines.choose(errors));
        }
        let with_data = |engine: &Engine| {
            let mut engine = engine.clone();
            engine.add_data(data.as_ref().clone()).map_err(failed)?;
            engine.set_input(Value::new_object());
            set_limit(&mut engine, Duration::from_secs(1));
            let _ = or_panicked(|| engine.eval_rule(self.rule.clone()));
            Ok(engine)
        };
        let made = Engines {
            strict: with_data(&engines.strict)?,
            lenient: with_data(&engines.lenient)?,
        };
        let chosen = made.choose(errors);
        *kept = Some(WithData {
            data: data.clone(),
            engines: made,
        });
        Ok(chosen)
    }

    fn run(
        &self,
        mut engine: Engine,
        input: &Value,
        limit: Duration,
    ) -> Result<Answer, ProgramError> {
        set_limit(&mut engine, limit);
        engine.set_input(input.clone());
        bounds::begin();
        let value = or_panicked(|| engine.eval_rule(self.rule.clone()))
            .map_err(|panicked| ProgramError::Failed(panicked.to_string()))?
            .map_err(|error| match error.downcast_ref::<regorus::LimitError>() {
                Some(_) => ProgramError::Time(limit),
                None => failed(error),
            })?;
        Ok(Answer {
            value,
            swallowed: None,
            printed: engine.take_prints().unwrap_or_default(),
        })
    }
}

/// The builtins of a template.
fn function(name: &str) -> Option<Function> {
    super::function(name, Errors::Swallowed).or_else(|| data::function(name))
}

pub(crate) fn failed(error: impl std::fmt::Display) -> ProgramError {
    let text = error.to_string();
    if text.contains("time limit") || text.contains("execution exceeded") {
        return ProgramError::Time(Duration::ZERO);
    }
    let line = text
        .split("--> ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    match line {
        Some(place) => ProgramError::Failed(format!("{}: {}", place.trim(), message(&text))),
        None => ProgramError::Failed(message(&text)),
    }
}

pub(crate) fn set_limit(engine: &mut Engine, limit: Duration) {
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit,
        check_interval: STEPS_BETWEEN_CLOCK_LOOKS,
    });
}
