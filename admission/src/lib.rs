//! Admission: may this object be stored?
//!
//! The member owns one of the program's two flows, from the API server's question to its
//! answer: what is asked is read, held against the policies in force, decided, answered,
//! recorded and counted. It keeps nothing but its certificate; decisions go to a
//! [`DecisionSink`](verdict::DecisionSink) and series to a registry, which the binary wires to
//! the log store and the metrics store. It knows neither of them.
//!
//! In the order data flows:
//!
//! - [`config`]: what the user says, checked once
//! - [`certificate`]: whom the API server talks to, made and renewed by ourselves
//! - [`cluster`]: the API server's objects, watched
//! - `server`: HTTPS, limits, deadlines, drain
//! - [`review`]: AdmissionReview in, and out again
//! - [`pod_security`]: levels, versions, and the labels that choose them
//! - [`bundle`]: the Rego in force, compiled once, swapped whole
//! - [`network_policy`]: who may reach whom, and what a change does to it
//! - [`data`]: what rules may ask of metrics and logs
//! - [`rego`]: Rego that was written for OPA, read and evaluated as OPA does
//! - [`gatekeeper`]: templates and constraints, and their tests
//! - [`evaluate`]: from a review to a verdict
//! - [`verdict`]: what is decided, and how it is told
//! - [`check`]: the same rules over manifests, on the command line
//! - [`explain`]: why something is judged as it is
//! - [`audit`]: what already runs, held against the same
//! - [`cost`]: what rules cost, measured
//! - [`replay`]: other rules over decisions that were made
//! - `metrics`: what is counted
//! - `keeper`: renewing and reloading in the background
//! - [`role`]: all of it started and stopped
//!
//! Two things must never happen here: that something passes because judging it went wrong and
//! nobody said so, and that somebody is refused without being told by which rule and for which
//! field.

pub mod config;

pub mod certificate;

pub mod cluster;

mod server;

pub mod review;

pub mod pod_security;

pub mod bundle;

pub mod network_policy;

pub mod data;

pub mod rego;

pub mod gatekeeper;

pub mod evaluate;

pub mod verdict;

pub mod check;

pub mod explain;

pub mod audit;
pub mod cost;

pub mod replay;

mod metrics;

mod keeper;

pub mod role;

mod yaml;

pub use config::AdmissionConfig;
pub use role::{Admission, StartError};
pub use verdict::{Decision, DecisionSink};
