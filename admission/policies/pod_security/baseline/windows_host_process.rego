# A Windows host process container is an administrator of the node; forbidden since 1.0.
package pod_security

baseline["windowsHostProcess"] := violation if {
	in_pod := [itself | itself.security.windowsOptions.hostProcess == true]
	in_containers := [c | some c in containers; c.security.windowsOptions.hostProcess == true]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "hostProcess",
		"detail": sprintf("%s must not set securityContext.windowsOptions.hostProcess=true", [
			who_set(in_pod, in_containers),
		]),
		"fields": fields_at(places, "securityContext.windowsOptions.hostProcess"),
	}
}
