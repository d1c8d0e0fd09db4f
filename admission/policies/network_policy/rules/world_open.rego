# Half or more of all public addresses, however they are put together, are the world.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	some direction in ["ingress", "egress"]
	rule := sprintf("world_open_%s", [direction])
	change.refused(rule)
	fields := change.policy.worldOpen[direction]
	count(fields) > 0
	violation := {
		"rule": rule,
		"reason": sprintf("%s open to the world", [direction]),
		"detail": sprintf("%s allows the internet at %s", [change.title, concat(", ", fields)]),
		"fields": fields,
	}
}
