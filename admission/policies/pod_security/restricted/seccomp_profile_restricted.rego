# A seccomp profile is set, by the pod or by every container, since 1.19; Windows is left out
# from 1.25. Says more than the baseline's check, and stands in its place.
package pod_security.restricted

import data.pod_security.baseline.forbidden_seccomp
import data.pod_security.pod
import data.pod_security.words

overrides contains "seccompProfile_baseline" if input.version >= 19

checks["seccompProfile_restricted"] := forbidden_seccomp if seccomp_is_asked

checks["seccompProfile_restricted"] := violation if {
	seccomp_is_asked
	not forbidden_seccomp
	not pod.itself.security.seccompProfile
	bad := [c | some c in pod.containers; not c.security.seccompProfile]
	count(bad) > 0
	violation := {
		"reason": "seccompProfile",
		"detail": sprintf(`pod or %s must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`, [
			words.containers(bad),
		]),
		"fields": words.at(bad, "securityContext.seccompProfile.type"),
	}
}

seccomp_is_asked if {
	input.version >= 19
	not left_out_as_windows
}
