# Processes run as somebody other than root, by word of the pod or of every container, since
# 1.0; from 1.35 a pod in a user namespace need not say so.
package pod_security.restricted

import data.pod_security.pod
import data.pod_security.words

checks["runAsNonRoot"] := set_to_root if not root_relaxed

checks["runAsNonRoot"] := violation if {
	not root_relaxed
	not set_to_root
	not pod.itself.security.runAsNonRoot == true
	bad := [c | some c in pod.containers; not c.security.runAsNonRoot == true]
	count(bad) > 0
	violation := {
		"reason": "runAsNonRoot != true",
		"detail": sprintf("pod or %s must set securityContext.runAsNonRoot=true", [words.containers(bad)]),
		"fields": words.at(bad, "securityContext.runAsNonRoot"),
	}
}

set_to_root := violation if {
	in_pod := [pod.itself | pod.itself.security.runAsNonRoot == false]
	in_containers := [c | some c in pod.containers; c.security.runAsNonRoot == false]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "runAsNonRoot != true",
		"detail": sprintf("%s must not set securityContext.runAsNonRoot=false", [words.setters(in_pod, in_containers)]),
		"fields": words.at(places, "securityContext.runAsNonRoot"),
	}
}

root_relaxed if {
	input.version >= 35
	pod.in_user_namespace
}
