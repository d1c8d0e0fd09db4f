# The pod as the checks see it. Places are where a setting may stand: the pod itself, and each
# container with its name, its object path and its security context, so that a check asks once
# and gets the names for the message and the paths for the decision from the same answer.
package pod_security

spec := object.get(input.pod, "spec", {})

annotations := object.get(input.pod, ["metadata", "annotations"], {})

itself := {"name": "pod", "at": "spec", "security": object.get(spec, "securityContext", {})}

# Init, regular, ephemeral: all three are judged, and messages name them in this order.
containers := array.concat(
	array.concat(
		in_field("initContainers", object.get(spec, "initContainers", [])),
		in_field("containers", object.get(spec, "containers", [])),
	),
	in_field("ephemeralContainers", object.get(spec, "ephemeralContainers", [])),
)

# The security contexts of containers, each once: those of one pod are alike more often than not.
contexts := {container.security | some container in containers}

# And the pod's own.
all_contexts := contexts | {itself.security}

in_field(field, listed) := [place |
	some i, container in listed
	place := {
		"name": object.get(container, "name", ""),
		"at": sprintf("spec.%s[%d]", [field, i]),
		"fields": container,
		"security": object.get(container, "securityContext", {}),
	}
]

is_windows if spec.os.name == "windows"

# Root inside a user namespace is nobody outside it.
in_user_namespace if spec.hostUsers == false
