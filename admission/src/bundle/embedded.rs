//! The policies that come with the program, named one by one.
//!
//! A list rather than a build script: it is checked against the folder by a test, and costs no
//! second compiler run.

use super::Module;

macro_rules! policies {
    ($($path:literal,)*) => {
        /// Path below `policies/`, and text.
        const POLICIES: &[(&str, &str)] = &[$(
            ($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/", $path))),
        )*];
    };
}

policies! {
    "network_policy/change.rego",
    "network_policy/main.rego",
    "network_policy/rules/default_deny.rego",
    "network_policy/rules/empty_selectors.rego",
    "network_policy/rules/malformed.rego",
    "network_policy/rules/metadata_address.rego",
    "network_policy/rules/never_open.rego",
    "network_policy/rules/world_open.rego",
    "pod_security/baseline/app_armor_profile.rego",
    "pod_security/baseline/capabilities_baseline.rego",
    "pod_security/baseline/host_namespaces.rego",
    "pod_security/baseline/host_path_volumes.rego",
    "pod_security/baseline/host_ports.rego",
    "pod_security/baseline/host_probes_and_host_lifecycle.rego",
    "pod_security/baseline/privileged.rego",
    "pod_security/baseline/proc_mount.rego",
    "pod_security/baseline/se_linux_options.rego",
    "pod_security/baseline/seccomp_profile_baseline.rego",
    "pod_security/baseline/sysctls.rego",
    "pod_security/baseline/windows_host_process.rego",
    "pod_security/main.rego",
    "pod_security/pod.rego",
    "pod_security/restricted/allow_privilege_escalation.rego",
    "pod_security/restricted/capabilities_restricted.rego",
    "pod_security/restricted/proc_mount_restricted.rego",
    "pod_security/restricted/restricted_volumes.rego",
    "pod_security/restricted/run_as_non_root.rego",
    "pod_security/restricted/run_as_user.rego",
    "pod_security/restricted/seccomp_profile_restricted.rego",
    "pod_security/words.rego",
}

/// The embedded modules, their paths as they are below `admission/`.
pub(super) fn modules() -> Vec<Module> {
    POLICIES
        .iter()
        .map(|(path, text)| Module {
            path: format!("policies/{path}"),
            text: (*text).to_string(),
        })
        .collect()
}
