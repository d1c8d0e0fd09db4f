# Nobody asks for user 0, since 1.23; from 1.35 a pod in a user namespace may.
package pod_security.restricted

import data.pod_security.pod
import data.pod_security.words

checks["runAsUser"] := violation if {
	input.version >= 23
	not root_relaxed
	in_pod := [pod.itself | pod.itself.security.runAsUser == 0]
	in_containers := [c | some c in pod.containers; c.security.runAsUser == 0]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "runAsUser=0",
		"detail": sprintf("%s must not set runAsUser=0", [words.setters(in_pod, in_containers)]),
		"fields": words.at(places, "securityContext.runAsUser"),
	}
}
