//! `taffrail snapshot`: asks a server for a snapshot of all that it stores.

use super::ask::ask;
use crate::cli::moving::SnapshotArgs;
use crate::cli::{ClientArgs, Output};

/// Asks and returns what to print.
pub(crate) async fn snapshot(args: &SnapshotArgs) -> anyhow::Result<String> {
    let client = ClientArgs {
        server: args.url.clone(),
        access: args.access.clone(),
        output: Output::default(),
    };
    let answer = ask(&client, "/api/v1/admin/tsdb/snapshot", &[]).await?;
    let name = answer.data.get("name").and_then(serde_json::Value::as_str);
    Ok(format!("{}\n", name.unwrap_or_default()))
}
