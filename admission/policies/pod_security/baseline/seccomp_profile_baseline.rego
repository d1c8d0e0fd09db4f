# A seccomp profile that is set is the runtime's or the node's own: before 1.19 in annotations,
# since then in fields.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

seccomp_pod_annotation := "seccomp.security.alpha.kubernetes.io/pod"

seccomp_container_prefix := "container.seccomp.security.alpha.kubernetes.io/"

checks["seccompProfile_baseline"] := violation if {
	input.version < 19
	keys := {seccomp_pod_annotation} | {concat("", [seccomp_container_prefix, c.name]) | some c in pod.containers}
	bad := sort({written |
		some key in keys
		value := pod.annotations[key]
		not seccomp_annotation_allowed(value)
		written := sprintf("%s=%s", [key, json.marshal(value)])
	})
	count(bad) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf("forbidden %s %s", [
			words.plural("annotation", "annotations", bad),
			concat(", ", bad),
		]),
		"fields": ["metadata.annotations"],
	}
}

seccomp_annotation_allowed(value) if value in {"runtime/default", "docker/default"}

seccomp_annotation_allowed(value) if startswith(value, "localhost/")

checks["seccompProfile_baseline"] := forbidden_seccomp if input.version >= 19

# Also the first thing the restricted check asks.
forbidden_seccomp := violation if {
	in_pod := [pod.itself | lifts_seccomp(pod.itself.security)]
	in_containers := [c | some c in pod.containers; lifts_seccomp(c.security)]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf("%s must not set securityContext.seccompProfile.type to %s", [
			words.setters(in_pod, in_containers),
			words.quoted(sort({seccomp_type(p.security) | some p in places})),
		]),
		"fields": words.at(places, "securityContext.seccompProfile.type"),
	}
}

lifts_seccomp(security) if {
	profile := seccomp_type(security)
	not profile in {"RuntimeDefault", "Localhost"}
}

# Undefined where no profile is set.
seccomp_type(security) := object.get(security.seccompProfile, "type", "")
