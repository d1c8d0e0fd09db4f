# AppArmor profiles may be the runtime's or the node's own, neither lifted nor replaced; since
# 1.0, in the fields and in the annotations they grew out of.
package pod_security

app_armor_prefix := "container.apparmor.security.beta.kubernetes.io/"

baseline["appArmorProfile"] := violation if {
	in_pod := [itself | lifts_app_armor(itself.security)]
	in_containers := [c | some c in containers; lifts_app_armor(c.security)]
	written := sort([entry |
		some key, value in annotations
		startswith(key, app_armor_prefix)
		not app_armor_annotation_allowed(value)
		entry := sprintf("%s=%s", [key, json.marshal(value)])
	])
	places := array.concat(in_pod, in_containers)
	count(places) + count(written) > 0

	types := {object.get(p.security.appArmorProfile, "type", "") | some p in places}
	values := array.concat(sort(types), written)
	setters := array.concat(
		[who_set(in_pod, in_containers) | count(places) > 0],
		[plural("annotation", "annotations", written) | count(written) > 0],
	)
	violation := {
		"reason": plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values),
		"detail": sprintf("%s must not set AppArmor profile type to %s", [
			concat(" and ", setters),
			quoted(values),
		]),
		"fields": array.concat(
			fields_at(places, "securityContext.appArmorProfile.type"),
			["metadata.annotations" | count(written) > 0],
		),
	}
}

lifts_app_armor(security) if {
	profile := object.get(security.appArmorProfile, "type", "")
	not profile in {"RuntimeDefault", "Localhost"}
}

app_armor_annotation_allowed(value) if value in {"", "runtime/default"}

app_armor_annotation_allowed(value) if startswith(value, "localhost/")
