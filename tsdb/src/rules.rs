//! Rules and alerts: what is asked again and again, and what becomes of the answers.
//!
//! A rule is an expression. What a recording rule gives is stored under its name; what an alerting rule
//! gives is an alert for each series, which is pending, fires, is sent to Alertmanagers, and is resolved.
//! Files, words and times are Prometheus', so that rules, dashboards and tests that people have work
//! as they are.
//!
//! What is recorded, and the state of alerts, are samples like others: they go the ordinary way into the
//! store, and are as durable as it. So a restart finds there since when an alert is pending.
//!
//! Modules, in the order a rule goes through them:
//!
//! - [`yaml`]: texts with the lines of everything.
//! - [`file`](mod@file): rule files, checked whole.
//! - [`template`]: Go's templates with Prometheus' functions.
//! - [`evaluator`]: what rules need of others, as traits: an answer to an expression, a place for samples.
//! - [`alerts`]: the life of an alert. Pure.
//! - [`group`]: rules that are evaluated one after another.
//! - [`manager`]: all groups, when they are due, and reloads.
//! - [`notifier`]: alerts on their way to Alertmanagers.
//! - [`unit_test`]: promtool's unit tests, over a store in memory.
//! - [`counters`]: what is counted, under upstream's names.

pub mod alerts;
pub mod counters;
pub mod evaluator;
pub mod file;
pub mod group;
pub mod manager;
pub mod notifier;
pub mod template;
pub mod unit_test;
pub mod yaml;

pub use manager::{LoadError, RuleManager, RulesConfig, RunningRules};
