# Kernel parameters are those that stay inside the pod: a short list since 1.0, longer since
# 1.27, 1.29, 1.32 and 1.37.
package pod_security

safe_sysctls contains name if {
	some added in [
		{"version": 0, "names": [
			"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
			"net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
		]},
		{"version": 27, "names": ["net.ipv4.ip_local_reserved_ports"]},
		{"version": 29, "names": [
			"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
			"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
		]},
		{"version": 32, "names": ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]},
		{"version": 37, "names": ["net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"]},
	]
	input.version >= added.version
	some name in added.names
}

baseline["sysctls"] := violation if {
	bad := [{"name": name, "at": sprintf("spec.securityContext.sysctls[%d].name", [i])} |
		some i, sysctl in itself.security.sysctls
		name := object.get(sysctl, "name", "")
		not name in safe_sysctls
	]
	count(bad) > 0
	violation := {
		"reason": "forbidden sysctls",
		"detail": concat(", ", [b.name | some b in bad]),
		"fields": [b.at | some b in bad],
	}
}
