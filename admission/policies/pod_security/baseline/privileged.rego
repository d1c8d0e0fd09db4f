# A privileged container is root on the node; forbidden since 1.0.
package pod_security

baseline["privileged"] := violation if {
	bad := [c | some c in containers; c.security.privileged == true]
	count(bad) > 0
	violation := {
		"reason": "privileged",
		"detail": sprintf("%s must not set securityContext.privileged=true", [named_containers(bad)]),
		"fields": fields_at(bad, "securityContext.privileged"),
	}
}
