# What violations are found together, in which order, and what a level and a version change.
package pod_security_test

import data.pod_security.violations

said(level, version, spec) := [sprintf("%s (%s)", [v.reason, v.detail]) | some v in found(level, version, {}, spec)]

rules(level, version, spec) := [v.rule | some v in found(level, version, {}, spec)]

fields(level, version, spec) := [field | some v in found(level, version, {}, spec); some field in v.fields]

annotated(level, version, annotations, spec) := [v.detail | some v in found(level, version, {"annotations": annotations}, spec)]

found(level, version, metadata, spec) := list if {
	list := violations with input as {"level": level, "version": version, "pod": {"metadata": metadata, "spec": spec}}
}

hardened := {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}

hardened_container := {
	"name": "a",
	"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
}

test_an_ordinary_pod_passes_baseline if rules("baseline", 37, {"containers": [{"name": "a"}]}) == []

test_a_hardened_pod_passes_restricted if {
	rules("restricted", 37, {"containers": [hardened_container], "securityContext": hardened}) == []
}

test_an_ordinary_pod_fails_restricted_in_order if {
	said("restricted", 37, {"containers": [{"name": "a"}, {"name": "b"}]}) == [
		`allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false)`,
		`unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"])`,
		`runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true)`,
		`seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`,
	]
}

test_baseline_comes_before_restricted_and_each_is_sorted if {
	rules("restricted", 37, {
		"hostNetwork": true,
		"containers": [{"name": "a", "securityContext": {
			"privileged": true,
			"seLinuxOptions": {"user": "u"},
			"seccompProfile": {"type": "Unconfined"},
			"windowsOptions": {"hostProcess": true},
		}}],
	}) == [
		"hostNamespaces", "privileged", "seLinuxOptions", "windowsHostProcess",
		"allowPrivilegeEscalation", "capabilities_restricted", "runAsNonRoot", "seccompProfile_restricted",
	]
}

test_what_restricted_says_better_baseline_leaves_out if {
	spec := {
		"containers": [{"name": "a", "securityContext": {"procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}}}],
		"volumes": [{"name": "v", "hostPath": {"path": "/"}}],
	}
	rules("baseline", 37, spec) == ["capabilities_baseline", "hostPathVolumes", "procMount"]
	rules("restricted", 37, spec) == [
		"allowPrivilegeEscalation", "capabilities_restricted", "procMount_restricted",
		"restrictedVolumes", "runAsNonRoot", "seccompProfile_restricted",
	]
	rules("restricted", 21, spec) == [
		"capabilities_baseline", "procMount", "allowPrivilegeEscalation",
		"restrictedVolumes", "runAsNonRoot", "seccompProfile_restricted",
	]
	rules("restricted", 7, spec) == ["capabilities_baseline", "procMount", "restrictedVolumes", "runAsNonRoot"]
}

test_init_and_ephemeral_containers_are_judged if {
	bad := {"privileged": true}
	spec := {
		"initContainers": [{"name": "i", "securityContext": bad}],
		"containers": [{"name": "c"}],
		"ephemeralContainers": [{"name": "e", "securityContext": bad}],
	}
	said("baseline", 37, spec) == [`privileged (containers "i", "e" must not set securityContext.privileged=true)`]
	fields("baseline", 37, spec) == [
		"spec.initContainers[0].securityContext.privileged",
		"spec.ephemeralContainers[0].securityContext.privileged",
	]
}

test_an_unknown_level_is_no_consent if {
	not found("strict", 37, {}, {"containers": []})
}

test_a_container_without_a_name_is_judged if {
	said("baseline", 37, {"containers": [{"securityContext": {"privileged": true}}]}) == [
		`privileged (container "" must not set securityContext.privileged=true)`,
	]
}
