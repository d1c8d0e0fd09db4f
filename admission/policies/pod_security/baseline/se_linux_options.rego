# SELinux types are those of containers, users and roles are not set, since 1.0; 1.31 added the
# type container engines run under.
package pod_security

se_linux_types contains kind if some kind in ["", "container_t", "container_init_t", "container_kvm_t"]

se_linux_types contains "container_engine_t" if input.version >= 31

baseline["seLinuxOptions"] := violation if {
	in_pod := [itself | forbidden_se_linux(itself.security)]
	in_containers := [c | some c in containers; forbidden_se_linux(c.security)]
	places := array.concat(in_pod, in_containers)
	count(places) > 0

	types := sort({p.security.seLinuxOptions.type | some p in places} - se_linux_types)
	users := [p | some p in places; p.security.seLinuxOptions.user != ""]
	roles := [p | some p in places; p.security.seLinuxOptions.role != ""]
	values := array.concat(
		[sprintf("%s %s", [plural("type", "types", types), quoted(types)]) | count(types) > 0],
		array.concat(
			["user may not be set" | count(users) > 0],
			["role may not be set" | count(roles) > 0],
		),
	)
	violation := {
		"reason": "seLinuxOptions",
		"detail": sprintf("%s set forbidden securityContext.seLinuxOptions: %s", [
			who_set(in_pod, in_containers),
			concat("; ", values),
		]),
		"fields": fields_at(places, "securityContext.seLinuxOptions"),
	}
}

forbidden_se_linux(security) if {
	kind := security.seLinuxOptions.type
	not kind in se_linux_types
}

forbidden_se_linux(security) if security.seLinuxOptions.user != ""

forbidden_se_linux(security) if security.seLinuxOptions.role != ""
