# Ports of the node must not be taken, since 1.0.
package pod_security

baseline["hostPorts"] := violation if {
	bad := [c | some c in containers; count(host_ports(c)) > 0]
	count(bad) > 0

	# Sorted as words, as upstream does: 12346 stands before 80.
	ports := sort({sprintf("%d", [port.number]) | some c in bad; some port in host_ports(c)})
	violation := {
		"reason": "hostPort",
		"detail": sprintf("%s %s %s %s", [
			named_containers(bad),
			plural("uses", "use", bad),
			plural("hostPort", "hostPorts", ports),
			concat(", ", ports),
		]),
		"fields": [port.at | some c in bad; some port in host_ports(c)],
	}
}

host_ports(container) := [{"number": port.hostPort, "at": sprintf("%s.ports[%d].hostPort", [container.at, i])} |
	some i, port in container.fields.ports
	port.hostPort != 0
]
