# A Windows host process container is an administrator of the node; forbidden since 1.0.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

checks["windowsHostProcess"] := violation if {
	in_pod := [pod.itself | pod.itself.security.windowsOptions.hostProcess == true]
	in_containers := [c | some c in pod.containers; c.security.windowsOptions.hostProcess == true]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "hostProcess",
		"detail": sprintf("%s must not set securityContext.windowsOptions.hostProcess=true", [
			words.setters(in_pod, in_containers),
		]),
		"fields": words.at(places, "securityContext.windowsOptions.hostProcess"),
	}
}
