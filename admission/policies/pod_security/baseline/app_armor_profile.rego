# AppArmor profiles may be the runtime's or the node's own, neither lifted nor replaced; since
# 1.0, in the fields and in the annotations they grew out of.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

app_armor_prefix := "container.apparmor.security.beta.kubernetes.io/"

checks["appArmorProfile"] := violation if {
	in_pod := [pod.itself | lifts_app_armor(pod.itself.security)]
	in_containers := [c | some c in pod.containers; lifts_app_armor(c.security)]
	annotations := sort([written |
		some key, value in pod.annotations
		startswith(key, app_armor_prefix)
		not app_armor_annotation_allowed(value)
		written := sprintf("%s=%s", [key, json.marshal(value)])
	])
	places := array.concat(in_pod, in_containers)
	count(places) + count(annotations) > 0

	types := {object.get(p.security.appArmorProfile, "type", "") | some p in places}
	values := array.concat(sort(types), annotations)
	setters := array.concat(
		[words.setters(in_pod, in_containers) | count(places) > 0],
		[words.plural("annotation", "annotations", annotations) | count(annotations) > 0],
	)
	violation := {
		"reason": words.plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values),
		"detail": sprintf("%s must not set AppArmor profile type to %s", [
			concat(" and ", setters),
			words.quoted(values),
		]),
		"fields": array.concat(
			words.at(places, "securityContext.appArmorProfile.type"),
			["metadata.annotations" | count(annotations) > 0],
		),
	}
}

lifts_app_armor(security) if {
	profile := object.get(security.appArmorProfile, "type", "")
	not profile in {"RuntimeDefault", "Localhost"}
}

app_armor_annotation_allowed(value) if value in {"", "runtime/default"}

app_armor_annotation_allowed(value) if startswith(value, "localhost/")
