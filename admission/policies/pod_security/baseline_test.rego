# The baseline's checks, one by one: words, plurals, sorting, and the versions they change in.
package pod_security_test

test_app_armor_in_fields_and_annotations if {
	found("baseline", 37, {"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}}, {
		"securityContext": {"appArmorProfile": {"type": "Unconfined"}},
		"containers": [{"name": "a", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}],
	}) == [{
		"rule": "appArmorProfile",
		"reason": "forbidden AppArmor profiles",
		"detail": `pod and annotation must not set AppArmor profile type to "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined""`,
		"fields": ["spec.securityContext.appArmorProfile.type", "metadata.annotations"],
	}]
}

test_app_armor_of_the_node_is_allowed if {
	annotations := {
		"container.apparmor.security.beta.kubernetes.io/a": "localhost/mine",
		"container.apparmor.security.beta.kubernetes.io/b": "runtime/default",
		"container.apparmor.security.beta.kubernetes.io/c": "",
		"other": "unconfined",
	}
	annotated("baseline", 37, annotations, {"containers": [{"name": "a"}]}) == []
}

test_capabilities_are_named_once_and_sorted if {
	said("baseline", 37, {"containers": [
		{"name": "a", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}},
		{"name": "b", "securityContext": {"capabilities": {"add": ["NET_RAW", "SYS_ADMIN"]}}},
	]}) == [`non-default capabilities (containers "a", "b" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)`]
}

test_host_namespaces if {
	said("baseline", 37, {"hostIPC": true, "hostPID": true, "hostNetwork": true}) == [
		"host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)",
	]
	said("baseline", 37, {"hostPID": false}) == []
}

test_host_path_volumes if {
	said("baseline", 37, {"volumes": [
		{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}, {"name": "c", "hostPath": {"path": "/"}},
	]}) == [`hostPath volumes (volumes "a", "c")`]
	said("baseline", 37, {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}) == [`hostPath volumes (volume "a")`]
}

test_host_ports_are_sorted_as_words if {
	said("baseline", 37, {"containers": [
		{"name": "a", "ports": [{"hostPort": 80}, {"containerPort": 1}, {"hostPort": 12346}, {"hostPort": 0}]},
		{"name": "b"},
	]}) == [`hostPort (container "a" uses hostPorts 12346, 80)`]
	said("baseline", 37, {"containers": [
		{"name": "a", "ports": [{"hostPort": 80}]},
		{"name": "b", "ports": [{"hostPort": 80}]},
	]}) == [`hostPort (containers "a", "b" use hostPort 80)`]
}

test_probe_hosts_since_1_34 if {
	spec := {"containers": [{
		"name": "a",
		"livenessProbe": {"httpGet": {"host": "10.0.0.1"}},
		"readinessProbe": {"httpGet": {"path": "/"}},
		"lifecycle": {"preStop": {"tcpSocket": {"host": "b.example"}}},
	}]}
	said("baseline", 33, spec) == []
	said("baseline", 34, spec) == [`probe or lifecycle host (container "a" uses probe or lifecycle hosts "10.0.0.1", "b.example")`]
	fields("baseline", 34, spec) == [
		"spec.containers[0].livenessProbe.httpGet.host",
		"spec.containers[0].lifecycle.preStop.tcpSocket.host",
	]
}

test_proc_mount_is_relaxed_in_user_namespaces_from_1_35 if {
	spec := {"hostUsers": false, "containers": [{"name": "a", "securityContext": {"procMount": "Unmasked"}}]}
	said("baseline", 34, spec) == [`procMount (container "a" must not set securityContext.procMount to "Unmasked")`]
	said("baseline", 35, spec) == []
	rules("restricted", 35, spec) == [
		"allowPrivilegeEscalation", "capabilities_restricted", "procMount_restricted", "seccompProfile_restricted",
	]
}

test_se_linux if {
	spec := {
		"securityContext": {"seLinuxOptions": {"type": "foo", "level": "l"}},
		"containers": [{"name": "a", "securityContext": {"seLinuxOptions": {"type": "bar", "user": "u", "role": "r"}}}],
	}
	said("baseline", 37, spec) == [
		`seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be set; role may not be set)`,
	]
	engine := {"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}
	said("baseline", 31, engine) == []
	said("baseline", 30, engine) == [`seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "container_engine_t")`]
}

test_seccomp_is_in_annotations_before_1_19 if {
	annotations := {
		"seccomp.security.alpha.kubernetes.io/pod": "unconfined",
		"container.seccomp.security.alpha.kubernetes.io/a": "docker/default",
		"container.seccomp.security.alpha.kubernetes.io/b": "mine",
		"container.seccomp.security.alpha.kubernetes.io/gone": "unconfined",
	}
	spec := {"containers": [{"name": "a"}, {"name": "b"}]}
	annotated("baseline", 18, annotations, spec) == [
		`forbidden annotations container.seccomp.security.alpha.kubernetes.io/b="mine", seccomp.security.alpha.kubernetes.io/pod="unconfined"`,
	]
	annotated("baseline", 19, annotations, spec) == []
}

test_seccomp_is_in_fields_since_1_19 if {
	spec := {
		"securityContext": {"seccompProfile": {"type": "Unconfined"}},
		"containers": [{"name": "a", "securityContext": {"seccompProfile": {}}}, {"name": "b"}],
	}
	said("baseline", 18, spec) == []
	said("baseline", 19, spec) == [
		`seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "", "Unconfined")`,
	]
}

sysctls(names) := {"securityContext": {"sysctls": [{"name": name, "value": "1"} | some name in names]}}

test_sysctls_are_named_as_they_come if {
	said("baseline", 37, sysctls(["kernel.msgmax", "net.ipv4.tcp_rmem", "a"])) == ["forbidden sysctls (kernel.msgmax, a)"]
}

test_sysctls_are_safe_from_their_version_on if {
	every added in [
		[27, "net.ipv4.ip_local_reserved_ports"], [29, "net.ipv4.tcp_fin_timeout"],
		[32, "net.ipv4.tcp_wmem"], [37, "net.ipv4.tcp_notsent_lowat"],
	] {
		said("baseline", added[0] - 1, sysctls([added[1]])) == [sprintf("forbidden sysctls (%s)", [added[1]])]
		said("baseline", added[0], sysctls([added[1]])) == []
	}
}

test_windows_host_process if {
	said("baseline", 37, {
		"securityContext": {"windowsOptions": {"hostProcess": true}},
		"containers": [{"name": "a", "securityContext": {"windowsOptions": {"hostProcess": false}}}],
	}) == ["hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"]
}
