# The node's file system must not be mounted, since 1.0.
package pod_security

baseline["hostPathVolumes"] := violation if {
	bad := [{"name": object.get(volume, "name", ""), "at": sprintf("spec.volumes[%d]", [i])} |
		some i, volume in spec.volumes
		volume.hostPath
	]
	count(bad) > 0
	violation := {
		"reason": "hostPath volumes",
		"detail": sprintf("%s %s", [plural("volume", "volumes", bad), quoted(names_of(bad))]),
		"fields": fields_at(bad, "hostPath"),
	}
}
