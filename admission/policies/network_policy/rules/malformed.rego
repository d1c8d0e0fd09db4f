# An object that cannot be meant is not judged as something else.
package network_policy.rules

import data.network_policy.change

found contains violation if {
	violation := {
		"rule": "malformed",
		"reason": "malformed object",
		"detail": change.malformed.problem,
		"fields": [change.malformed.path],
	}
}
