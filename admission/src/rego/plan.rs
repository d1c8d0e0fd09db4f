//! Rules as straight plans, for what is asked thousands of times a second.
//!
//! The interpreter walks the syntax tree of a rule anew for each question, and looks up each name by its text. A plan is
//! made once: every variable has a slot, every name is the rule, the argument or the document that it stands for, every
//! statement stands where its variables are known. What is left for a question are operations on values.
//!
//! **A plan never decides what it is not sure of.** What it does not know to plan (`with`, `walk`, a builtin whose answer
//! changes, a whole package as a value) is not planned at all: [`Plan::new`] says so, and the interpreter answers. Where a question
//! ends in an error, of a builtin or of two values for one rule, the plan has no answer either, and the interpreter is
//! asked: what an error means is known in one place only. So a plan gives values, and the interpreter gives values and
//! errors; tests hold the two against one another.
//!
//! - `program`: what a plan is made of.
//! - `compile`, `body`, `term`, `pattern`: from the syntax tree to it.
//! - `reads`: what of its input a plan looks at.
//! - `run`, `matching`: a question.

mod body;
mod compile;
mod matching;
mod pattern;
mod program;
mod reads;
mod run;
mod term;

use std::sync::Arc;
use std::time::Instant;

use regorus::Value;
use regorus::unstable::{Module, Ref};
use tracing::debug;

pub(crate) use reads::{Key, Reads, TooLong};
pub(crate) use run::Fault;

use super::or_panicked;
use program::Program;

/// A function that is not written in Rego: takes as many values as its arity says, none of them undefined.
pub(crate) type Function = Arc<dyn Fn(&[Value]) -> Result<Value, NoAnswer> + Send + Sync>;

/// A function failed. How, the interpreter tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

/// A rule that can be asked.
pub(crate) struct Plan {
    program: Program,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unplanned {
    /// Something that plans do not do.
    #[error("{0} is not planned")]
    Construct(&'static str),
    /// A variable that has no value where it is needed.
    #[error("the variable {0} has no value where it is needed")]
    Unbound(String),
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("rules", &self.program.rules.len())
            .finish()
    }
}

impl Plan {
    /// The rule `entry`, written `data.PACKAGE.RULE`, of `modules`. `functions` gives the builtins by their names.
    pub(crate) fn new(
        modules: &[Ref<Module>],
        entry: &str,
        functions: &dyn Fn(&str) -> Option<Function>,
    ) -> Result<Self, Unplanned> {
        let program = compile::compile(modules, entry, functions)?;
        Ok(Plan { program })
    }

    /// As [`Plan::new`]; where there is none, the log says why.
    pub(crate) fn of(
        modules: &[Ref<Module>],
        entry: &str,
        functions: &dyn Fn(&str) -> Option<Function>,
    ) -> Option<Self> {
        Plan::new(modules, entry, functions)
            .inspect_err(|why| debug!(rule = entry, %why, "a rule is interpreted"))
            .ok()
    }

    /// What it looks at of its input: for what holds that and no more, it gives the same.
    pub(crate) fn reads(&self) -> Reads {
        reads::of(&self.program)
    }

    /// The value of the rule for `input`; undefined where it has none. `data` is what stands below `data` beside the modules.
    pub(crate) fn ask(
        &self,
        input: &Value,
        data: &Value,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        or_panicked(|| run::ask(&self.program, input, data, deadline))
            .unwrap_or(Err(Fault::Panicked))
    }
}

#[cfg(test)]
mod tests;
