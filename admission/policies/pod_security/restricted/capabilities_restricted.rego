# All capabilities are dropped and only NET_BIND_SERVICE comes back, since 1.22; Windows is left
# out from 1.25. Says more than the baseline's check, and stands in its place.
package pod_security

overrides contains "capabilities_baseline" if input.version >= 22

restricted["capabilities_restricted"] := violation if {
	input.version >= 22
	not left_out_as_windows
	plain := [security |
		some security in contexts
		"ALL" in security.capabilities.drop
		not security.capabilities.add
	]
	count(plain) < count(contexts)
	keeping := [c | some c in containers; not drops_all(c)]
	adding := [c | some c in containers; count(added_capabilities(c)) > 0]
	count(keeping) + count(adding) > 0

	added := sort({capability | some c in adding; some capability in added_capabilities(c)})
	details := array.concat(
		[sprintf(`%s must set securityContext.capabilities.drop=["ALL"]`, [named_containers(keeping)]) | count(keeping) > 0],
		[sprintf("%s must not include %s in securityContext.capabilities.add", [
			named_containers(adding),
			quoted(added),
		]) | count(adding) > 0],
	)
	violation := {
		"reason": "unrestricted capabilities",
		"detail": concat("; ", details),
		"fields": array.concat(
			fields_at(keeping, "securityContext.capabilities.drop"),
			fields_at(adding, "securityContext.capabilities.add"),
		),
	}
}

drops_all(container) if "ALL" in container.security.capabilities.drop

added_capabilities(container) := {capability |
	some capability in container.security.capabilities.add
	capability != "NET_BIND_SERVICE"
}
