# Capabilities beyond a container's usual set must not be added, since 1.0.
package pod_security

usual_capabilities := {
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

baseline["capabilities_baseline"] := violation if {
	bad := [c | some c in containers; count(unusual_capabilities(c)) > 0]
	count(bad) > 0
	added := {capability | some c in bad; some capability in unusual_capabilities(c)}
	violation := {
		"reason": "non-default capabilities",
		"detail": sprintf("%s must not include %s in securityContext.capabilities.add", [
			named_containers(bad),
			quoted(sort(added)),
		]),
		"fields": fields_at(bad, "securityContext.capabilities.add"),
	}
}

unusual_capabilities(container) := {capability |
	some capability in container.security.capabilities.add
	not capability in usual_capabilities
}
