//! What the commands do that are not roles: they ask a server, judge files, move data, and print.
//!
//! Exit status: 0 when it worked, 1 when it did not (with one message on standard error), 2 for a
//! wrong command line; `policy check` and `policy explain` also exit with 1 when a manifest is refused, `policy test` when a case
//! fails, `check rules` and `test rules` when a file is wrong.
//! `policy netpol` and `policy replay` answer a question: 0 is yes (or nothing changes), 1 is no, and 2 that it could
//! not be answered.

pub(crate) mod ask;
pub(crate) mod check_rules;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod logs;
pub(crate) mod netpol;
pub(crate) mod policy;
pub(crate) mod policy_bench;
pub(crate) mod policy_explain;
pub(crate) mod policy_replay;
mod policy_reports;
pub(crate) mod policy_test;
mod progress;
pub(crate) mod query;
pub(crate) mod snapshot;
mod store;
pub(crate) mod table;
pub(crate) mod test_rules;
