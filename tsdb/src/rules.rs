//! Rules and alerts: what is asked again and again, and what becomes of the answers.
//!
//! - [`yaml`]: texts with the lines of everything.

pub mod yaml;
