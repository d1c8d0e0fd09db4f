# A seccomp profile is set, by the pod or by every container, since 1.19; Windows is left out
# from 1.25. Says more than the baseline's check, and stands in its place.
package pod_security

overrides contains "seccompProfile_baseline" if input.version >= 19

restricted["seccompProfile_restricted"] := forbidden_seccomp if seccomp_is_asked

restricted["seccompProfile_restricted"] := violation if {
	seccomp_is_asked
	not itself.security.seccompProfile
	not forbidden_seccomp
	bad := [c | some c in containers; not c.security.seccompProfile]
	count(bad) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf(`pod or %s must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`, [
			named_containers(bad),
		]),
		"fields": fields_at(bad, "securityContext.seccompProfile.type"),
	}
}

seccomp_is_asked if {
	input.version >= 19
	not left_out_as_windows
}
