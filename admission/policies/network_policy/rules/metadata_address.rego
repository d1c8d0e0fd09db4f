# The address where a cloud's machines learn who they are, and get their credentials, is nothing pods should reach. A
# rule of egress without peers reaches it as well.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	change.refused("metadata_address")
	outgoing := [rule | some rule in change.policy.rules; rule.direction == "egress"; rule.action == "Accept"]
	everyone := [rule.path | some rule in outgoing; rule.everyone]
	peers := [peer.path | some rule in outgoing; some peer in rule.peers; count(peer.metadata) > 0]
	fields := array.concat(everyone, peers)
	count(fields) > 0
	violation := {
		"rule": "metadata_address",
		"reason": "metadata address",
		"detail": sprintf(
			"%s allows egress to 169.254.169.254 or fd00:ec2::254 at %s; add it to the except of an ipBlock",
			[change.title, concat(", ", fields)],
		),
		"fields": fields,
	}
}
