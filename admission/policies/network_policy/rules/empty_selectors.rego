# A selector that asks for nothing selects everything, which is rarely meant where something is allowed. As the subject
# of a policy that allows nothing it is a default deny.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	change.refused("empty_selectors")
	subject := [field | change.policy.accepts; some field in change.policy.empty]
	peers := [field |
		some rule in change.policy.rules
		rule.action == "Accept"
		some peer in rule.peers
		some field in peer.empty
	]
	fields := array.concat(subject, peers)
	count(fields) > 0
	violation := {
		"rule": "empty_selectors",
		"reason": "empty selectors",
		"detail": sprintf("%s selects everything at %s", [change.title, concat(", ", fields)]),
		"fields": fields,
	}
}
