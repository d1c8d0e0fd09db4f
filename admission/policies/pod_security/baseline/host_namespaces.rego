# The node's network, process and IPC namespaces must not be shared, since 1.0.
package pod_security

baseline["hostNamespaces"] := violation if {
	shared := [field | some field in ["hostNetwork", "hostPID", "hostIPC"]; spec[field] == true]
	count(shared) > 0
	violation := {
		"reason": "host namespaces",
		"detail": concat(", ", [sprintf("%s=true", [field]) | some field in shared]),
		"fields": [sprintf("spec.%s", [field]) | some field in shared],
	}
}
