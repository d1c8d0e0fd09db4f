# Probes and lifecycle hooks are sent by the kubelet, so one that names a host lets a pod send
# requests from the node's network; forbidden since 1.34.
package pod_security

baseline["hostProbesAndHostLifecycle"] := violation if {
	input.version >= 34
	used := [found |
		some c in containers
		some handler in handlers(c.fields)
		some action in ["httpGet", "tcpSocket"]
		host := handler.does[action].host
		host != ""
		found := {"name": c.name, "host": host, "at": sprintf("%s.%s.%s.host", [c.at, handler.at, action])}
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

handlers(container) := array.concat(
	[{"at": field, "does": container[field]} | some field in ["livenessProbe", "readinessProbe", "startupProbe"]],
	[{"at": concat(".", ["lifecycle", field]), "does": container.lifecycle[field]} | some field in ["postStart", "preStop"]],
)
