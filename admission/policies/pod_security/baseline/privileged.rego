# A privileged container is root on the node; forbidden since 1.0.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

checks["privileged"] := violation if {
	bad := [c | some c in pod.containers; c.security.privileged == true]
	count(bad) > 0
	violation := {
		"reason": "privileged",
		"detail": sprintf("%s must not set securityContext.privileged=true", [words.containers(bad)]),
		"fields": words.at(bad, "securityContext.privileged"),
	}
}
