# Volumes are of the kinds that hold no door to the node or to storage beside the cluster's
# claims, since 1.0. Stands in the place of the baseline's check on hostPath.
package pod_security.restricted

import data.pod_security.pod
import data.pod_security.words

overrides contains "hostPathVolumes"

allowed_volume_types := {
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
	"persistentVolumeClaim", "projected", "secret",
}

# In the order in which a volume with several is named after one.
restricted_volume_types := [
	"hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi",
	"glusterfs", "rbd", "flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile",
	"vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume",
	"scaleIO", "storageos",
]

checks["restrictedVolumes"] := violation if {
	bad := [{"name": object.get(volume, "name", ""), "type": volume_type(volume), "at": sprintf("spec.volumes[%d]", [i])} |
		some i, volume in pod.spec.volumes
		sources := object.keys(volume) - {"name"}

		# A volume without a source becomes an emptyDir.
		count(sources) > 0
		count(sources & allowed_volume_types) == 0
	]
	count(bad) > 0
	types := sort({b.type | some b in bad})
	violation := {
		"reason": "restricted volume types",
		"detail": sprintf("%s %s %s %s %s", [
			words.plural("volume", "volumes", bad),
			words.quoted(words.names(bad)),
			words.plural("uses", "use", bad),
			words.plural("restricted volume type", "restricted volume types", types),
			words.quoted(types),
		]),
		"fields": [sprintf("%s.%s", [b.at, b.type]) | some b in bad],
	}
}

volume_type(volume) := array.concat(
	[kind | some kind in restricted_volume_types; kind in object.keys(volume)],
	["unknown"],
)[0]
