# Volumes are of the kinds that hold no door to the node or to storage beside the cluster's
# claims, since 1.0. Stands in the place of the baseline's check on hostPath.
package pod_security

overrides contains "hostPathVolumes"

allowed_volume_types := {
	"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
	"persistentVolumeClaim", "projected", "secret",
}

# Of a volume; one that has no others cannot violate.
unremarkable_members := allowed_volume_types | {"name"}

# In the order in which a volume with several is named after one.
restricted_volume_types := [
	"hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi",
	"glusterfs", "rbd", "flexVolume", "cinder", "cephfs", "flocker", "fc", "azureFile",
	"vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume",
	"scaleIO", "storageos",
]

restricted["restrictedVolumes"] := violation if {
	count(union({object.keys(volume) | some volume in spec.volumes}) - unremarkable_members) > 0
	bad := [{"name": object.get(volume, "name", ""), "type": volume_type(volume), "at": sprintf("spec.volumes[%d]", [i])} |
		some i, volume in spec.volumes
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
			plural("volume", "volumes", bad),
			quoted(names_of(bad)),
			plural("uses", "use", bad),
			plural("restricted volume type", "restricted volume types", types),
			quoted(types),
		]),
		"fields": [sprintf("%s.%s", [b.at, b.type]) | some b in bad],
	}
}

volume_type(volume) := array.concat(
	[kind | some kind in restricted_volume_types; kind in object.keys(volume)],
	["unknown"],
)[0]
