# A namespace in which pods are made must deny what no policy allows: a NetworkPolicy that selects all pods and has no
# rules. And while there are pods the last such policy must stay.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	change.exempt == false
	change.is_malformed == false
	change.is_policy == false
	input.change.operation == "CREATE"
	count(input.rules.defaultDeny) > 0
	state := netpol.default_deny(input.change)
	missing := [direction | some direction in input.rules.defaultDeny; state.after[direction] == false]
	count(missing) > 0
	violation := {
		"rule": "default_deny",
		"reason": "no default deny",
		"detail": sprintf(
			"namespace %s has no NetworkPolicy that selects all pods and denies %s",
			[state.namespace, concat(" and ", missing)],
		),
		"fields": ["metadata.namespace"],
	}
}

found contains violation if {
	change.exempt == false
	change.is_malformed == false
	change.is_policy
	count(input.rules.defaultDeny) > 0
	state := netpol.default_deny(input.change)
	state.after.pods > 0
	lost := [direction |
		some direction in input.rules.defaultDeny
		state.before[direction]
		state.after[direction] == false
	]
	count(lost) > 0
	violation := {
		"rule": "default_deny",
		"reason": "no default deny",
		"detail": sprintf(
			"%d pods of namespace %s would have no NetworkPolicy any more that denies all %s",
			[state.after.pods, state.namespace, concat(" and ", lost)],
		),
		"fields": ["spec"],
	}
}
