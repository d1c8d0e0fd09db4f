//! The policies, compiled once, and swapped whole.
//!
//! A [`Bundle`] is a set of Rego modules that parsed, compiled and answered a trial question;
//! one that does not is a [`LoadError`] with file and line, and never takes the place of one
//! that does. [`Bundles`] holds the one in force: a request takes it once, at its start, and
//! keeps it to its end, so nobody is judged by half a bundle.
//!
//! Policies are Rego in version 1 of the language, and mean what they mean to OPA: they are prepared as Gatekeeper's
//! templates are ([`prepare`](crate::rego::prepare)). A rule is asked by its [plan](crate::rego::plan), and by regorus'
//! interpreter where there is none or it fails. A prepared engine is cloned for each question: the clone shares the
//! compiled policy, and, unlike regorus' `CompiledPolicy`, takes its own time limit. Errors of builtins are errors of the
//! evaluation, not the silence Rego would make of them: in a policy that lists violations,
//! silence is consent.

pub mod embedded;
pub mod input;
pub mod load;
pub mod network;
mod remembered;

use std::cell::{Cell, OnceCell};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use regorus::{Engine, Value};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) use load::Sources;
pub use load::{LoadError, Module};

use crate::cluster::Snapshot;
use crate::data::{self, Allowed};
use crate::gatekeeper::documents::Document;
use crate::gatekeeper::{Policies, Refused};

use crate::pod_security::{Level, LevelVersion};
use crate::rego::plan::{Fault, Function, Plan, Reads};
use crate::rego::program::{failed, set_limit};
use crate::rego::{
    self, Edition, Errors, LENGTHS, Refusal, Text, bounds, elements, install, or_panicked, prepare,
};
use crate::verdict::{Incomplete, Violation};
use input::{PodInput, PodValue};
use remembered::{Question, Remembered};

/// The rule that answers for Pod Security.
pub(crate) const POD_SECURITY: &str = "data.pod_security.violations";

/// What stands below `data` beside the modules.
static NOTHING: Value = Value::Undefined;

/// Compiled policies.
#[derive(Debug)]
pub struct Bundle {
    rules: Rules,
    constraints: Policies,
    digest: String,
}

/// What modules were compiled to. A bundle of the same modules shares it, for policies of Gatekeeper's come and go much more often.
#[derive(Debug, Clone)]
struct Rules {
    /// What tells the modules from others.
    digest: String,
    /// What they may ask.
    allowed: Allowed,
    /// The modules as the interpreter is given them.
    modules: Arc<[Text]>,
    pod_security: Option<Arc<Plan>>,
    /// What of a pod that plan looks at.
    pod_reads: Reads,
    /// What that plan answered, if it answers the same to the same.
    remembered: Option<Arc<Remembered>>,
    network_policy: Option<Arc<Plan>>,
    /// The interpreter, which is made when it is needed.
    engine: Arc<OnceLock<Engine>>,
}

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The policy ran out of time, or a builtin refused its arguments.
    #[error("{POD_SECURITY} failed: {0}")]
    Failed(String),
    /// The policy had nothing to say, which is not consent.
    #[error("{POD_SECURITY} is undefined for {0}: a policy must answer with an array")]
    Undefined(LevelVersion),
    /// The answer has another shape than an array of violations.
    #[error("{POD_SECURITY} answered with something other than violations: {0}")]
    Shape(String),
    /// A violation lacks a reason, a rule or an object path.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

/// A violation as Rego spells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    rule: String,
    reason: String,
    #[serde(default)]
    detail: String,
    fields: Vec<String>,
}

impl Bundle {
    /// The policies that come with the program.
    pub fn embedded() -> Result<Self, LoadError> {
        Bundle::compile(&embedded::modules())
    }

    /// The policies of a folder, which take the place of all embedded ones: every `*.rego` file
    /// below it but the tests (`*_test.rego`).
    pub fn from_directory(directory: &Path) -> Result<Self, LoadError> {
        Bundle::compile(&load::directory(directory)?)
    }

    pub(crate) fn compile(modules: &[Module]) -> Result<Self, LoadError> {
        Bundle::compile_allowing(modules, Allowed::default())
    }

    fn compile_allowing(modules: &[Module], allowed: Allowed) -> Result<Self, LoadError> {
        let texts = prepared(modules, allowed).map_err(LoadError::refused)?;
        // Compiling here, rather than at the first request, is what makes its errors load errors.
        let mut engine = engine(&texts)?;
        let parsed = engine.get_modules();
        let asks_others = Cell::new(false);
        let pod_security = Plan::of(parsed, POD_SECURITY, &|name| {
            let other = function_of_others(name);
            asks_others.set(asks_others.get() || other.is_some());
            other.or_else(|| function_of_arguments(name))
        });
        let network_policy = Plan::of(parsed, network::NETWORK_POLICY, &function);
        let is_planned = pod_security.is_some() && network_policy.is_some();
        let reads = pod_security.as_ref().map(Plan::reads).unwrap_or_default();
        let engine = if is_planned {
            OnceLock::new()
        } else {
            OnceLock::from(engine)
        };
        let bundle = Bundle::of_rules(Rules {
            digest: digest(modules, &[]),
            allowed,
            modules: texts.into(),
            pod_reads: reads.of("pod").cloned().unwrap_or_default(),
            remembered: (!asks_others.get()).then(Arc::default),
            pod_security: pod_security.map(Arc::new),
            network_policy: network_policy.map(Arc::new),
            engine: Arc::new(engine),
        });
        // The smallest pod there is.
        let (metadata, spec) = (json!(null), json!({"containers": [{"name": "trial"}]}));
        for level in [Level::Baseline, Level::Restricted] {
            bundle
                .pod_violations(
                    PodInput::new(&metadata, &spec),
                    LevelVersion::latest(level),
                    Duration::from_secs(10),
                )
                .map_err(|error| LoadError::Trial {
                    problem: error.to_string(),
                })?;
        }
        Ok(bundle)
    }

    fn of_rules(rules: Rules) -> Self {
        Bundle {
            digest: rules.digest.clone(),
            rules,
            constraints: Policies::default(),
        }
    }

    /// One of these modules alone, if this one has the same.
    fn with_same(&self, modules: &[Module], allowed: Allowed) -> Option<Self> {
        let is_same = self.rules.allowed == allowed && self.rules.digest == digest(modules, &[]);
        is_same.then(|| Bundle::of_rules(self.rules.clone()))
    }

    /// From what was read.
    pub(crate) fn of(sources: &Sources) -> Result<Self, LoadError> {
        let digest = digest(&sources.modules, &sources.documents);
        let mut bundle = Bundle::compile_allowing(&sources.modules, sources.allowed)?;
        bundle.constraints = Policies::read_allowing(&sources.documents, sources.allowed)?;
        bundle.digest = digest;
        Ok(bundle)
    }

    /// The same, which asks its rules each time: for whoever wants to know what that costs.
    #[must_use]
    pub fn without_memory(mut self) -> Self {
        self.rules.remembered = None;
        self
    }

    /// The same, interpreted.
    #[cfg(test)]
    fn without_plans(mut self) -> Self {
        self.rules.pod_security = None;
        self.rules.network_policy = None;
        self.without_memory()
    }

    /// What tells this bundle from any other, wherever it was read from.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// From what was read, and the policies that are objects of a cluster. Those that are refused are told, and what they
    /// said in `before` stays.
    pub(crate) fn with_objects(
        sources: Sources,
        objects: &Snapshot,
        before: &Bundle,
    ) -> Result<(Self, Vec<Refused>), LoadError> {
        let mut refused = objects.refused.clone();
        let Sources {
            modules,
            documents,
            allowed,
        } = sources;
        let digest = {
            let others = objects.modules.iter().flat_map(|(_, modules)| modules);
            let modules: Vec<_> = modules.iter().chain(others).cloned().collect();
            let others = objects.documents.iter();
            let documents: Vec<_> = documents.iter().chain(others).cloned().collect();
            digest(&modules, &documents)
        };
        let mut bundle = before.with_modules(&modules, &objects.modules, allowed, &mut refused)?;
        bundle.constraints = Policies::read_allowing(&documents, allowed)?;
        refused.extend(
            bundle
                .constraints
                .add(&objects.documents, &before.constraints),
        );
        bundle.digest = digest;
        Ok((bundle, refused))
    }

    /// With the modules of ConfigMaps, each of them whole or not at all.
    fn with_modules(
        &self,
        own: &[Module],
        others: &[(String, Vec<Module>)],
        allowed: Allowed,
        refused: &mut Vec<Refused>,
    ) -> Result<Self, LoadError> {
        let with = |others: &[&(String, Vec<Module>)]| {
            let others = others.iter().flat_map(|(_, modules)| modules.clone());
            let all: Vec<_> = own.iter().cloned().chain(others).collect();
            match self.with_same(&all, allowed) {
                Some(bundle) => Ok(bundle),
                None => Bundle::compile_allowing(&all, allowed),
            }
        };
        let mut good = Vec::new();
        let all: Vec<_> = others.iter().collect();
        if let Ok(bundle) = with(&all) {
            return Ok(bundle);
        }
        for one in others {
            match with(&[one]) {
                Ok(_) => good.push(one),
                Err(error) => refused.push(Refused::config_map(&one.0, error.to_string())),
            }
        }
        with(&good).or_else(|error| {
            for (name, _) in good {
                let problem = format!("it does not fit together with others: {error}");
                refused.push(Refused::config_map(name, problem));
            }
            with(&[])
        })
    }

    /// Gatekeeper's policies in it.
    pub fn constraints(&self) -> &Policies {
        &self.constraints
    }

    /// How many modules it is made of.
    pub fn modules(&self) -> usize {
        self.rules.modules.len()
    }

    /// Asks a rule: its plan of what that looks at, or the interpreter of the whole where there is no plan or it fails. Of which
    /// the answer is, is told beside it.
    fn ask(
        &self,
        rule: &str,
        plan: Option<&Plan>,
        input: &dyn Fn(Extent) -> Value,
        limit: Duration,
    ) -> Result<(Value, Extent), String> {
        let deadline = Instant::now() + limit;
        if let Some(plan) = plan {
            bounds::begin();
            match plan.ask(&input(Extent::Read), &NOTHING, deadline) {
                Ok(value) => return Ok((value, Extent::Read)),
                Err(Fault::Failed) => {}
                Err(fault @ (Fault::Time | Fault::Size | Fault::Panicked)) => {
                    return Err(fault.to_string());
                }
            }
        }
        let mut engine = if let Some(engine) = self.rules.engine.get() {
            engine.clone()
        } else {
            let made = engine(&self.rules.modules).map_err(|error| error.to_string())?;
            self.rules.engine.get_or_init(|| made).clone()
        };
        let left = deadline.saturating_duration_since(Instant::now());
        set_limit(&mut engine, left);
        engine.set_input(input(Extent::Whole));
        bounds::begin();
        or_panicked(|| engine.eval_rule(rule.to_string()))?
            .map(|value| (value, Extent::Whole))
            .map_err(|error| match error.downcast_ref::<regorus::LimitError>() {
                Some(_) => Fault::Time.to_string(),
                None => failed(error).to_string(),
            })
    }

    /// What speaks against a pod at a level, in the order messages name it. Takes no longer
    /// than `limit`.
    pub fn pod_violations(
        &self,
        pod: PodInput<'_>,
        policy: LevelVersion,
        limit: Duration,
    ) -> Result<Vec<Violation>, EvaluateError> {
        self.pod(pod).violations(policy, limit)
    }

    /// A pod to be judged at several levels.
    pub(crate) fn pod<'a>(&'a self, pod: PodInput<'a>) -> JudgedPod<'a> {
        JudgedPod {
            bundle: self,
            pod,
            read: OnceCell::new(),
        }
    }
}

/// How much of its input a rule is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What its plan looks at.
    Read,
    /// All of it.
    Whole,
}

/// A pod, held against the rules of a bundle.
pub(crate) struct JudgedPod<'a> {
    bundle: &'a Bundle,
    pod: PodInput<'a>,
    /// What the bundle looks at of it, which is the same at all levels.
    read: OnceCell<PodValue>,
}

impl JudgedPod<'_> {
    /// As [`Bundle::pod_violations`].
    pub(crate) fn violations(
        &self,
        policy: LevelVersion,
        limit: Duration,
    ) -> Result<Vec<Violation>, EvaluateError> {
        if policy.level == Level::Privileged {
            return Ok(Vec::new());
        }
        let Some(remembered) = &self.bundle.rules.remembered else {
            return self.asked(policy, limit).map(|(violations, _)| violations);
        };
        let question = Question::new(self.pod, &self.bundle.rules.pod_reads, policy);
        if let Some(known) = question.as_ref().and_then(|asked| remembered.answer(asked)) {
            return Ok(known.to_vec());
        }
        let (violations, extent) = self.asked(policy, limit)?;
        if let (Some(question), Extent::Read) = (question, extent) {
            remembered.keep(question, violations.as_slice().into());
        }
        Ok(violations)
    }

    /// Asks the rules, and tells of how much of the pod they answered.
    fn asked(
        &self,
        policy: LevelVersion,
        limit: Duration,
    ) -> Result<(Vec<Violation>, Extent), EvaluateError> {
        let Rules {
            pod_security: plan,
            pod_reads: reads,
            ..
        } = &self.bundle.rules;
        let input = |extent| match extent {
            Extent::Read => self.read.get_or_init(|| self.pod.read(reads)).at(policy),
            Extent::Whole => self.pod.whole().at(policy),
        };
        let asked = self
            .bundle
            .ask(POD_SECURITY, plan.as_deref(), &input, limit);
        let (value, extent) = asked.map_err(EvaluateError::Failed)?;
        if value == Value::Undefined {
            return Err(EvaluateError::Undefined(policy));
        }
        let answers: Vec<Answer> = serde_json::to_value(&value)
            .and_then(serde_json::from_value)
            .map_err(|error| EvaluateError::Shape(error.to_string()))?;
        let violations: Result<_, EvaluateError> = answers
            .into_iter()
            .map(|answer| {
                Violation::new(answer.rule, answer.reason, answer.detail, answer.fields)
                    .map_err(EvaluateError::from)
            })
            .collect();
        Ok((violations?, extent))
    }
}

/// Modules as the interpreter is given them.
pub(crate) fn prepared(modules: &[Module], allowed: Allowed) -> Result<Vec<Text>, Refusal> {
    let text = |module: &Module| Text {
        name: module.path.clone(),
        rego: module.text.clone(),
        edition: Edition::V1,
    };
    let texts: Vec<Text> = modules.iter().map(text).collect();
    prepare::bundle(&texts, &crate::network_policy::builtins::arity, allowed)
}

/// Compiles prepared modules for the interpreter.
fn engine(modules: &[Text]) -> Result<Engine, LoadError> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    crate::network_policy::builtins::register(&mut engine);
    engine.set_policy_length_config(LENGTHS);
    for text in modules {
        let Text { name, rego, .. } = elements::counted(text).map_err(LoadError::refused)?;
        install(&mut engine, &rego, Errors::Told);
        engine
            .add_policy(name.clone(), rego)
            .map_err(|error| LoadError::parse(&name, &error))?;
    }
    engine
        .compile_with_entrypoint(&POD_SECURITY.into())
        .map_err(|error| LoadError::compile(POD_SECURITY, &error))?;
    Ok(engine)
}

/// The builtins of policies. Their errors are errors of the evaluation.
fn function(name: &str) -> Option<Function> {
    function_of_others(name).or_else(|| function_of_arguments(name))
}

/// Those that answer from their arguments alone.
fn function_of_arguments(name: &str) -> Option<Function> {
    rego::function(name, Errors::Told)
}

/// Those that answer from more than their arguments.
fn function_of_others(name: &str) -> Option<Function> {
    crate::network_policy::builtins::function(name).or_else(|| data::function(name))
}

/// The first half of the SHA-256 of all that the policies say, in hexadecimal.
fn digest(modules: &[Module], documents: &[Document]) -> String {
    let mut digest = Sha256::new();
    let objects = documents.iter().map(|document| document.object.to_string());
    let texts = modules.iter().map(|module| module.text.clone());
    for text in texts.chain(objects) {
        digest.update(text.len().to_le_bytes());
        digest.update(text.as_bytes());
    }
    let digest = digest.finalize();
    digest
        .iter()
        .take(16)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bundle in force.
#[derive(Debug)]
pub struct Bundles {
    current: ArcSwap<Bundle>,
}

impl Bundles {
    /// Starts with `bundle` in force.
    pub fn new(bundle: Bundle) -> Self {
        Bundles {
            current: ArcSwap::from_pointee(bundle),
        }
    }

    /// The bundle in force; keep it for the whole of a request.
    pub fn current(&self) -> Arc<Bundle> {
        self.current.load_full()
    }

    /// Puts `bundle` in force for the requests that start from now on.
    pub fn swap(&self, bundle: Bundle) {
        self.current.store(Arc::new(bundle));
    }
}

#[cfg(test)]
mod tests;
