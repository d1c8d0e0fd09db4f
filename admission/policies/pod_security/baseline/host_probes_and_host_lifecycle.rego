# Probes and lifecycle hooks are sent by the kubelet, so one that names a host lets a pod send
# requests from the node's network; forbidden since 1.34.
package pod_security

handler_fields := [
	"livenessProbe", "readinessProbe", "startupProbe",
	"lifecycle.postStart", "lifecycle.preStop",
]

baseline["hostProbesAndHostLifecycle"] := violation if {
	input.version >= 34
	contains(text, `"host":`)
	used := [found |
		some c in containers
		count(object.keys(c.fields) & {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"}) > 0
		some field in handler_fields
		some action in ["httpGet", "tcpSocket"]
		host := object.get(c.fields, array.concat(split(field, "."), [action, "host"]), "")
		host != ""
		found := {"name": c.name, "host": host, "at": sprintf("%s.%s.%s.host", [c.at, field, action])}
	]
	count(used) > 0

	# Here, unlike elsewhere, containers are a sorted set.
	users := sort({u.name | some u in used})
	hosts := sort({u.host | some u in used})
	violation := {
		"reason": "probe or lifecycle host",
		"detail": sprintf("%s %s %s %s %s", [
			plural("container", "containers", users),
			quoted(users),
			plural("uses", "use", users),
			plural("probe or lifecycle host", "probe or lifecycle hosts", hosts),
			quoted(hosts),
		]),
		"fields": [u.at | some u in used],
	}
}
