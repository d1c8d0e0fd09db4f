# A process must not gain more than its parent has, since 1.8; Windows has no such switch, and
# is left out from 1.25.
package pod_security

restricted["allowPrivilegeEscalation"] := violation if {
	input.version >= 8
	not left_out_as_windows
	{object.get(security, "allowPrivilegeEscalation", true) | some security in contexts} != {false}
	bad := [c | some c in containers; not c.security.allowPrivilegeEscalation == false]
	count(bad) > 0
	violation := {
		"reason": "allowPrivilegeEscalation != false",
		"detail": sprintf("%s must set securityContext.allowPrivilegeEscalation=false", [named_containers(bad)]),
		"fields": fields_at(bad, "securityContext.allowPrivilegeEscalation"),
	}
}

# What Linux alone has cannot be asked of a Windows pod.
left_out_as_windows if {
	input.version >= 25
	is_windows
}
