# The masks over /proc must stay, since 1.0; from 1.35 a pod in a user namespace may lift them.
package pod_security

baseline["procMount"] := unmasked_proc if not proc_mount_relaxed

proc_mount_relaxed if {
	input.version >= 35
	in_user_namespace
}

unmasked_proc := violation if {
	bad := [c | some c in containers; c.security.procMount != "Default"]
	count(bad) > 0
	violation := {
		"reason": "procMount",
		"detail": sprintf("%s must not set securityContext.procMount to %s", [
			named_containers(bad),
			quoted(sort({c.security.procMount | some c in bad})),
		]),
		"fields": fields_at(bad, "securityContext.procMount"),
	}
}
