# Ports of the node must not be taken, since 1.0.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

checks["hostPorts"] := violation if {
	bad := [c | some c in pod.containers; count(host_ports(c)) > 0]
	count(bad) > 0

	# Sorted as words, as upstream does: 12346 stands before 80.
	ports := sort({sprintf("%d", [port.number]) | some c in bad; some port in host_ports(c)})
	violation := {
		"reason": "hostPort",
		"detail": sprintf("%s %s %s %s", [
			words.containers(bad),
			words.plural("uses", "use", bad),
			words.plural("hostPort", "hostPorts", ports),
			concat(", ", ports),
		]),
		"fields": [port.at | some c in bad; some port in host_ports(c)],
	}
}

host_ports(container) := [{"number": port.hostPort, "at": sprintf("%s.ports[%d].hostPort", [container.at, i])} |
	some i, port in container.fields.ports
	port.hostPort != 0
]
