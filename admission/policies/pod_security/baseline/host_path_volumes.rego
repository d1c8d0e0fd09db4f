# The node's file system must not be mounted, since 1.0.
package pod_security.baseline

import data.pod_security.pod
import data.pod_security.words

checks["hostPathVolumes"] := violation if {
	bad := [{"name": object.get(volume, "name", ""), "at": sprintf("spec.volumes[%d]", [i])} |
		some i, volume in pod.spec.volumes
		volume.hostPath
	]
	count(bad) > 0
	violation := {
		"reason": "hostPath volumes",
		"detail": sprintf("%s %s", [words.plural("volume", "volumes", bad), words.quoted(words.names(bad))]),
		"fields": words.at(bad, "hostPath"),
	}
}
