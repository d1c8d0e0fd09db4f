# What the change is about, as every rule sees it.
package network_policy.change

# The policy as it will be; undefined where the object is none, or cannot be meant.
policy := read if {
	read := netpol.policy(input.change)
	is_object(read)
	object.get(read, "malformed", null) == null
}

malformed := problem if {
	read := netpol.policy(input.change)
	is_object(read)
	problem := read.malformed
}

default is_malformed := false

is_malformed if malformed

default exempt := false

exempt if input.change.namespace in input.rules.exemptNamespaces

default refused(_) := false

refused(name) if {
	exempt == false
	name in input.rules.refuse
}

# "NetworkPolicy shop/web"
title := sprintf("%s %s", [policy.kind, policy.name]) if policy.namespace == ""

title := sprintf("%s %s/%s", [policy.kind, policy.namespace, policy.name]) if policy.namespace != ""

default is_policy := false

is_policy if input.change.object.kind == "NetworkPolicy"

is_policy if input.change.oldObject.kind == "NetworkPolicy"
