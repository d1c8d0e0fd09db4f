# Processes run as somebody other than root, by word of the pod or of every container, since
# 1.0; from 1.35 a pod in a user namespace need not say so.
package pod_security

restricted["runAsNonRoot"] := set_to_root if not root_relaxed

restricted["runAsNonRoot"] := violation if {
	not itself.security.runAsNonRoot == true
	not root_relaxed
	not set_to_root
	bad := [c | some c in containers; not c.security.runAsNonRoot == true]
	count(bad) > 0
	violation := {
		"reason": "runAsNonRoot != true",
		"detail": sprintf("pod or %s must set securityContext.runAsNonRoot=true", [named_containers(bad)]),
		"fields": fields_at(bad, "securityContext.runAsNonRoot"),
	}
}

set_to_root := violation if {
	false in {security.runAsNonRoot | some security in all_contexts}
	in_pod := [itself | itself.security.runAsNonRoot == false]
	in_containers := [c | some c in containers; c.security.runAsNonRoot == false]
	places := array.concat(in_pod, in_containers)
	count(places) > 0
	violation := {
		"reason": "runAsNonRoot != true",
		"detail": sprintf("%s must not set securityContext.runAsNonRoot=false", [who_set(in_pod, in_containers)]),
		"fields": fields_at(places, "securityContext.runAsNonRoot"),
	}
}

root_relaxed if {
	input.version >= 35
	in_user_namespace
}
