//! What the benches measure on: data generated the same way every time, or recorded once.
//!
//! The criterion benches are `ingest` (writes to both stores, durable before they return), `query`
//! (range queries and log searches over what was written) and `scrape` (expositions). The program `rivals` holds
//! Taffrail against Prometheus and VictoriaMetrics, each a process of its own, on the same data; `anchors` holds the
//! generated day against published figures of plain codecs. A figure that
//! is quoted anywhere names the command and the machine; `README.md` beside this says how.
//!
//! - [`random`]: numbers that are the same in every run.
//! - `load`: how busy what is generated is.
//! - [`day`]: a day of a cluster.
//! - [`cluster`]: a cluster as dashboards see it.
//! - [`reviews`]: what an API server asks of the webhook.
//! - [`small`]: scrapes, pushes and expositions for the criterion benches.

pub mod cluster;
pub mod day;
mod load;
pub mod random;
pub mod reviews;
pub mod small;
