# The restricted level's checks, one by one: words, plurals, and the versions they change in.
package pod_security_test

windows := {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]}

test_windows_is_left_out_from_1_25 if {
	rules("restricted", 24, windows) == ["allowPrivilegeEscalation", "capabilities_restricted", "seccompProfile_restricted"]
	rules("restricted", 25, windows) == []
}

test_escalation_since_1_8 if {
	spec := {"containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": true}}], "securityContext": hardened}
	rules("restricted", 7, spec) == []
	rules("restricted", 8, spec) == ["allowPrivilegeEscalation"]
}

with_capabilities(capabilities) := {
	"securityContext": hardened,
	"containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": capabilities}}],
}

test_capabilities_since_1_22 if {
	said("restricted", 37, with_capabilities({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})) == []
	said("restricted", 21, with_capabilities({})) == []
	said("restricted", 22, with_capabilities({"drop": ["CHOWN"], "add": ["SYS_ADMIN", "CHOWN"]})) == [
		`unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "CHOWN", "SYS_ADMIN" in securityContext.capabilities.add)`,
	]
}

with_volumes(volumes) := {"securityContext": hardened, "containers": [hardened_container], "volumes": volumes}

test_volumes if {
	said("restricted", 37, with_volumes([
		{"name": "a", "nfs": {}}, {"name": "b", "hostPath": {}}, {"name": "c", "emptyDir": {}}, {"name": "d", "later": {}},
	])) == [`restricted volume types (volumes "a", "b", "d" use restricted volume types "hostPath", "nfs", "unknown")`]
	said("restricted", 37, with_volumes([{"name": "a", "nfs": {}}])) == [
		`restricted volume types (volume "a" uses restricted volume type "nfs")`,
	]
	fields("restricted", 37, with_volumes([{"name": "a", "nfs": {}}])) == ["spec.volumes[0].nfs"]
}

test_volumes_that_are_allowed if {
	every kind in ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"] {
		said("restricted", 37, with_volumes([{"name": "a", kind: {}}])) == []
	}
	said("restricted", 37, with_volumes([{"name": "a"}])) == []
}

with_user(pod, container) := {
	"securityContext": object.union({"seccompProfile": {"type": "Localhost"}}, pod),
	"containers": [{"name": "a", "securityContext": object.union(hardened_container.securityContext, container)}],
}

test_run_as_non_root if {
	said("restricted", 37, with_user({}, {"runAsNonRoot": true})) == []
	said("restricted", 37, with_user({"runAsNonRoot": false}, {"runAsNonRoot": true})) == [
		"runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
	]
	said("restricted", 37, with_user({"runAsNonRoot": false}, {"runAsNonRoot": false})) == [
		`runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)`,
	]
	said("restricted", 37, with_user({}, {})) == [
		`runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)`,
	]
}

test_run_as_user_since_1_23 if {
	spec := with_user({"runAsNonRoot": true, "runAsUser": 0}, {"runAsUser": 0})
	said("restricted", 22, spec) == []
	said("restricted", 23, spec) == [`runAsUser=0 (pod and container "a" must not set runAsUser=0)`]
	said("restricted", 23, with_user({"runAsNonRoot": true, "runAsUser": 1}, {})) == []
}

test_root_in_a_user_namespace_from_1_35 if {
	spec := object.union(with_user({"runAsUser": 0}, {}), {"hostUsers": false})
	rules("restricted", 34, spec) == ["runAsNonRoot", "runAsUser"]
	rules("restricted", 35, spec) == []
	rules("restricted", 35, object.union(spec, {"hostUsers": true})) == ["runAsNonRoot", "runAsUser"]
}

test_seccomp_must_be_set_since_1_19 if {
	spec := {
		"securityContext": {"runAsNonRoot": true},
		"containers": [hardened_container, {"name": "b", "securityContext": object.union(
			hardened_container.securityContext,
			{"seccompProfile": {"type": "Localhost"}},
		)}],
	}
	said("restricted", 18, spec) == []
	said("restricted", 19, spec) == [
		`seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`,
	]
}
