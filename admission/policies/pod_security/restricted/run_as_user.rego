# Nobody asks for user 0, since 1.23; from 1.35 a pod in a user namespace may.
package pod_security

restricted["runAsUser"] := violation if {
	input.version >= 23
	0 in {security.runAsUser | some security in all_contexts}
	not root_relaxed
	in_pod := [itself | itself.security.runAsUser == 0]
	in_containers := [c | some c in containers; c.security.runAsUser == 0]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "runAsUser=0",
		"detail": sprintf("%s must not set runAsUser=0", [who_set(in_pod, in_containers)]),
		"fields": fields_at(places, "securityContext.runAsUser"),
	}
}
