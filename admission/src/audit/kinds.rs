//! Which kinds are audited.
//!
//! Pods always, for their levels; network policies where rules are about them; and what constraints are about, as far as the
//! API server lists it. What the control plane writes all the time is not what people mean by "all kinds".

use kube::Discovery;
use kube::core::{ApiResource, GroupVersionKind};

use crate::gatekeeper::Policies;

/// Group and plural of what is never meant.
const NEVER: &[(&str, &str)] = &[
    ("", "componentstatuses"),
    ("", "endpoints"),
    ("", "events"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
    ("events.k8s.io", "events"),
];

/// What is audited whatever constraints say.
pub(super) fn well_known(judges_network: bool) -> Vec<ApiResource> {
    let kind =
        |group, version, kind| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let mut kinds = vec![kind("", "v1", "Pod")];
    if judges_network {
        kinds.push(kind("networking.k8s.io", "v1", "NetworkPolicy"));
    }
    kinds
}

/// What is audited.
pub(super) async fn of(
    client: &kube::Client,
    constraints: &Policies,
    judges_network: bool,
) -> Result<Vec<ApiResource>, kube::Error> {
    let mut kinds = well_known(judges_network);
    if constraints.is_empty() {
        return Ok(kinds);
    }
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    for group in discovery.groups_alphabetical() {
        for (kind, capabilities) in group.recommended_resources() {
            let is_never = NEVER.contains(&(kind.group.as_str(), kind.plural.as_str()));
            let is_listed = capabilities.operations.iter().any(|verb| verb == "list");
            if is_listed
                && !is_never
                && !kinds.iter().any(|known| is_same(known, &kind))
                && constraints.are_about(&kind.group, &kind.kind)
            {
                kinds.push(kind);
            }
        }
    }
    Ok(kinds)
}

fn is_same(one: &ApiResource, other: &ApiResource) -> bool {
    (&one.group, &one.plural) == (&other.group, &other.plural)
}
