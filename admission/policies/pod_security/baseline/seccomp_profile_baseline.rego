# A seccomp profile that is set is the runtime's or the node's own: before 1.19 in annotations,
# since then in fields.
package pod_security

seccomp_pod_annotation := "seccomp.security.alpha.kubernetes.io/pod"

seccomp_container_prefix := "container.seccomp.security.alpha.kubernetes.io/"

baseline["seccompProfile_baseline"] := violation if {
	input.version < 19
	keys := {seccomp_pod_annotation} | {concat("", [seccomp_container_prefix, c.name]) | some c in containers}
	bad := sort({written |
		some key in keys
		value := annotations[key]
		not seccomp_annotation_allowed(value)
		written := sprintf("%s=%s", [key, json.marshal(value)])
	})
	count(bad) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf("forbidden %s %s", [
			plural("annotation", "annotations", bad),
			concat(", ", bad),
		]),
		"fields": ["metadata.annotations"],
	}
}

seccomp_annotation_allowed(value) if value in {"runtime/default", "docker/default"}

seccomp_annotation_allowed(value) if startswith(value, "localhost/")

baseline["seccompProfile_baseline"] := forbidden_seccomp if input.version >= 19

# Also the first thing the restricted check asks.
forbidden_seccomp := violation if {
	count({seccomp_type(security) | some security in all_contexts} - allowed_seccomp) > 0
	in_pod := [itself | lifts_seccomp(itself.security)]
	in_containers := [c | some c in containers; lifts_seccomp(c.security)]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf("%s must not set securityContext.seccompProfile.type to %s", [
			who_set(in_pod, in_containers),
			quoted(sort({seccomp_type(p.security) | some p in places})),
		]),
		"fields": fields_at(places, "securityContext.seccompProfile.type"),
	}
}

lifts_seccomp(security) if {
	profile := seccomp_type(security)
	not profile in allowed_seccomp
}

allowed_seccomp := {"RuntimeDefault", "Localhost"}

# Undefined where no profile is set.
seccomp_type(security) := object.get(security.seccompProfile, "type", "")
