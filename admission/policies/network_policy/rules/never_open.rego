# Ways that no change may open: from some ends to others, and between two namespaces either way. What counts is what
# the change does, whatever it is a change of: a policy, a pod's labels, a namespace's.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	some forbidden in input.rules.neverOpen
	violation := opened("never_open", forbidden.name, forbidden.from, forbidden.to)
}

found contains violation if {
	some pair in input.rules.separate
	some names in [pair, array.reverse(pair)]
	name := sprintf("%s to %s", [names[0], names[1]])
	violation := opened("separate", name, {"namespaces": [names[0]]}, {"namespaces": [names[1]]})
}

opened(rule, name, from, to) := violation if {
	change.is_malformed == false
	flows := netpol.opens(input.change, from, to)
	count(flows) > 0
	example := flows[0].example
	violation := {
		"rule": rule,
		"reason": sprintf("opens %s", [name]),
		"detail": sprintf(
			"%s would reach %s on %s: %s; %s",
			[example.from, example.to, flows[0].on, example.egress.reason, example.ingress.reason],
		),
		"fields": places(example),
	}
}

# The rules of the changed object that allow it, or else what of the object it must be.
places(example) := rules if {
	rules := own_rules(example)
	count(rules) > 0
}

places(example) := ["metadata.labels"] if {
	own_rules(example) == []
	not change.policy
	not change.is_policy
}

places(example) := ["spec"] if {
	own_rules(example) == []
	change.policy
}

places(example) := ["metadata.name"] if {
	own_rules(example) == []
	not change.policy
	change.is_policy
}

own_rules(example) := [side.path |
	some side in [example.egress, example.ingress]
	change.title == sprintf("%s %s", [side.kind, side.policy])
]
