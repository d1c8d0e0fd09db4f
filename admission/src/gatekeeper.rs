//! Gatekeeper's policies, unmodified: ConstraintTemplates, Constraints, ExpansionTemplates, Suites.
//!
//! A template is a program in Rego with a schema for its parameters; a constraint gives it
//! parameters, says which objects it judges, and what follows from a violation. [`Policies`] is
//! all of them together: it is read whole from documents, answers for a [`Request`], and is never
//! changed, so that it can be swapped.
//!
//! In the order a review goes through them:
//!
//! - [`documents`]: YAML and JSON of folders, one object after the other
//! - [`template`], with [`schema`] for what parameters may be
//! - [`constraint`], with [`matching`] and [`selector`] for what it judges
//! - `definition`: the kind that a template's constraints are
//! - [`inventory`]: what a template may know beside the object
//! - [`exclusion`]: namespaces that nobody looks at
//! - [`request`]: `input.review` as Gatekeeper builds it
//! - [`expansion`]: pods that a workload would make
//! - [`policies`]: all of it, asked
//! - [`suite`]: tests, as `gator verify` runs them
//!
//! What Gatekeeper takes for a violation is one here: also that a constraint's namespace selector
//! cannot be decided, or that the evaluation fails. What a template would have to be asked
//! wrongly for is refused when it is loaded ([`crate::rego`]).

pub mod constraint;
pub(crate) mod definition;
pub mod documents;
pub mod exclusion;
pub mod expansion;
pub mod inventory;
pub mod matching;
pub mod policies;
pub mod request;
pub mod schema;
pub mod selector;
pub mod suite;
pub mod template;

pub use constraint::{Action, EnforcementPoint};
pub use inventory::{Inventory, InventorySource};
pub use policies::{Finding, Policies, PoliciesError, Refused};
pub use request::Request;

#[cfg(test)]
mod tests;
