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
//! - [`review`]: AdmissionReview in, and out again
//! - [`pod_security`]: levels, versions, and the labels that choose them
//! - [`bundle`]: the Rego in force, compiled once, swapped whole
//! - [`evaluate`]: from a review to a verdict
//! - [`verdict`]: what is decided, and how it is told
//! - [`check`]: the same rules over manifests, on the command line
//!
//! Two things must never happen here: that something passes because judging it went wrong and
//! nobody said so, and that somebody is refused without being told by which rule and for which
//! field.

pub mod config;

pub mod review;

pub mod pod_security;

pub mod bundle;

pub mod evaluate;

pub mod verdict;

pub mod check;

pub use config::AdmissionConfig;
pub use verdict::{Decision, DecisionSink};
