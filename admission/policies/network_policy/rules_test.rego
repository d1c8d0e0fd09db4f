# The rules, one by one, in the cluster of test_cluster.yaml.
package network_policy_test

import data.network_policy.violations

off := {"refuse": [], "defaultDeny": [], "separate": [], "neverOpen": [], "exemptNamespaces": []}

found(rules, change) := list if {
	list := violations with input as {"rules": object.union(off, rules), "change": change}
}

told(rules, change) := [[v.rule, v.fields] | some v in found(rules, change)]

create(object) := {"operation": "CREATE", "namespace": object.metadata.namespace, "object": object}

update(object) := {"operation": "UPDATE", "namespace": object.metadata.namespace, "object": object, "oldObject": object}

delete(object) := {"operation": "DELETE", "namespace": object.metadata.namespace, "object": null, "oldObject": object}

policy(namespace, name, spec) := {
	"apiVersion": "networking.k8s.io/v1",
	"kind": "NetworkPolicy",
	"metadata": {"namespace": namespace, "name": name},
	"spec": spec,
}

pod(namespace, name, labels) := {
	"apiVersion": "v1",
	"kind": "Pod",
	"metadata": {"namespace": namespace, "name": name, "labels": labels},
}

refuse(name, spec) := told({"refuse": [name]}, create(policy("sandbox", "p", spec)))

test_everything_is_off_unless_it_is_chosen if {
	found({}, create(policy("sandbox", "p", {"podSelector": {}, "ingress": [{}], "egress": [{}]}))) == []
	found({}, create(pod("sandbox", "p", {}))) == []
	found({"refuse": ["empty_selectors"]}, create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop"}})) == []
}

test_a_malformed_policy_is_refused_by_field if {
	found({}, create(policy("sandbox", "p", {"ingress": [{"ports": [{"port": 0}]}]}))) == [{
		"rule": "malformed",
		"reason": "malformed object",
		"detail": "must be a port from 1 to 65535, not 0",
		"fields": ["spec.ingress[0].ports[0].port"],
	}]
}

test_empty_selectors_where_something_is_allowed if {
	refuse("empty_selectors", {"podSelector": {}}) == []
	refuse("empty_selectors", {"podSelector": {"matchLabels": {"a": "b"}}, "ingress": [{}]}) == []
	refuse("empty_selectors", {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}]}) == [["empty_selectors", ["spec.podSelector"]]]
	refuse("empty_selectors", {
		"podSelector": {"matchLabels": {"a": "b"}},
		"ingress": [{"from": [
			{"namespaceSelector": {}},
			{"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {}},
			{"podSelector": {}},
			{"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}},
		]}],
	}) == [["empty_selectors", ["spec.ingress[0].from[0]", "spec.ingress[0].from[2].podSelector"]]]
}

egress(to) := refuse("metadata_address", {"policyTypes": ["Egress"], "egress": [{"to": to}]})

test_the_metadata_address_and_what_holds_it if {
	first := [["metadata_address", ["spec.egress[0].to[0]"]]]
	egress([{"ipBlock": {"cidr": "169.254.169.254/32"}}]) == first
	egress([{"ipBlock": {"cidr": "169.254.0.0/16"}}]) == first
	egress([{"ipBlock": {"cidr": "0.0.0.0/0"}}]) == first
	egress([{"ipBlock": {"cidr": "fd00::/8"}}]) == first
	egress([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]) == []
	egress([{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]) == []
	egress([{"ipBlock": {"cidr": "10.0.0.0/8"}}]) == []
	egress([{"namespaceSelector": {}}]) == []
	egress([]) == [["metadata_address", ["spec.egress[0]"]]]
	refuse("metadata_address", {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}) == []
}

ingress(blocks) := refuse("world_open_ingress", {"ingress": [{"from": [{"ipBlock": block} | some block in blocks]}]})

# All of the first peers are named.
hit(peers) := [["world_open_ingress", [sprintf("spec.ingress[0].from[%d]", [i]) | some i in numbers.range(0, peers - 1)]]]

test_the_world_however_it_is_put_together if {
	ingress([{"cidr": "0.0.0.0/0"}]) == hit(1)
	ingress([{"cidr": "::/0"}]) == hit(1)
	ingress([{"cidr": "0.0.0.0/1"}, {"cidr": "128.0.0.0/1"}]) == hit(2)
	ingress([{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "8.8.8.8/32"]}]) == hit(1)
	ingress([{"cidr": "2000::/4"}, {"cidr": "3000::/4"}]) == hit(2)
	ingress([{"cidr": "10.0.0.0/8"}, {"cidr": "203.0.113.0/24"}]) == []
	ingress([]) == [["world_open_ingress", ["spec.ingress[0]"]]]
	refuse("world_open_ingress", {"policyTypes": ["Egress"], "egress": [{}]}) == []
	refuse("world_open_egress", {"policyTypes": ["Egress"], "egress": [{}]}) == [["world_open_egress", ["spec.egress[0]"]]]
	refuse("world_open_ingress", {"ingress": [{"from": [{"namespaceSelector": {}}]}]}) == []
}

quarters(first, second) := refuse("world_open_ingress", {"ingress": [
	{"from": [{"ipBlock": {"cidr": "0.0.0.0/2"}}], "ports": [first]},
	{"from": [{"ipBlock": {"cidr": "64.0.0.0/2"}}], "ports": [second]},
]})

test_parts_of_the_world_count_where_they_share_a_port if {
	count(quarters({"port": 80}, {"port": 80})) == 1
	count(quarters({"port": 80}, {"port": 1, "endPort": 100})) == 1
	quarters({"port": 80}, {"port": 81}) == []
	quarters({"port": 80}, {"port": 80, "protocol": "UDP"}) == []
}

test_exempt_namespaces if {
	rules := {"refuse": ["world_open_ingress"], "exemptNamespaces": ["sandbox"]}
	found(rules, create(policy("sandbox", "p", {"ingress": [{}]}))) == []
	count(found(rules, create(policy("shop", "p", {"ingress": [{}]})))) == 1
}

test_a_namespace_needs_a_default_deny if {
	both := {"defaultDeny": ["ingress", "egress"]}
	found(both, create(pod("payments", "new", {}))) == []
	[v.detail | some v in found(both, create(pod("shop", "new", {})))] == ["namespace shop has no NetworkPolicy that selects all pods and denies egress"]
	found({"defaultDeny": ["ingress"]}, create(pod("shop", "new", {}))) == []
	told(both, create(pod("sandbox", "new", {}))) == [["default_deny", ["metadata.namespace"]]]
	# What is there already may change.
	found(both, update(pod("sandbox", "toy", {"a": "b"}))) == []
}

test_a_default_deny_must_stay if {
	ingress := {"defaultDeny": ["ingress"]}
	told(ingress, delete(policy("shop", "deny", {"podSelector": {}, "policyTypes": ["Ingress"]}))) == [["default_deny", ["spec"]]]
	told(ingress, update(policy("shop", "deny", {"podSelector": {"matchLabels": {"a": "b"}}}))) == [["default_deny", ["spec"]]]
	found(ingress, update(policy("shop", "deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))) == []
	found(ingress, delete(policy("payments", "api", {"podSelector": {}}))) == []
}

internet_to_payments := {"neverOpen": [{"name": "internet to payments", "from": {"internet": true}, "to": {"namespaces": ["payments"]}}]}

test_a_change_may_not_open_what_is_forbidden if {
	open := policy("payments", "open", {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]})
	found(internet_to_payments, create(open)) == [{
		"rule": "never_open",
		"reason": "opens internet to payments",
		"detail": "internet (IPv4) would reach payments/api on TCP 443: egress allowed: the source is no pod, so no policy is about it; ingress allowed by NetworkPolicy payments/open at spec.ingress[0].from[0]",
		"fields": ["spec.ingress[0].from[0]"],
	}]
	inner := policy("payments", "open", {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]})
	found(internet_to_payments, create(inner)) == []
	elsewhere := policy("shop", "open", {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]})
	found(internet_to_payments, create(elsewhere)) == []
	# Without the one that denies, the other still isolates.
	found(internet_to_payments, delete(policy("payments", "deny", {}))) == []
}

test_a_label_opens_ways_too if {
	rules := {"separate": [["shop", "payments"]]}
	told(rules, create(pod("shop", "other", {"app": "web"}))) == [["separate", ["metadata.labels"]]]
	told(rules, update(pod("shop", "job", {"app": "web"}))) == [["separate", ["metadata.labels"]]]
	found(rules, update(pod("shop", "job", {"app": "job"}))) == []
	# What is open already is not opened.
	found(rules, update(pod("shop", "web", {"app": "web", "b": "c"}))) == []
}

zone(name, labels) := {
	"operation": "UPDATE",
	"object": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
}

test_who_becomes_one_of_the_ends_brings_its_ways_along if {
	inner := {"neverOpen": [{"name": "sandbox to inner", "from": {"namespaces": ["sandbox"]}, "to": {"namespaceSelector": {"matchLabels": {"zone": "outer"}}}}]}
	found(inner, zone("shop", {"zone": "outer"})) == []
	found(inner, zone("payments", {"zone": "inner"})) == []
	api := {"neverOpen": [{"name": "anybody to sandbox", "from": {"podSelector": {"matchLabels": {"app": "job"}}}, "to": {"namespaces": ["sandbox"]}}]}
	told(api, update(pod("shop", "web", {"app": "job"}))) == [["never_open", ["metadata.labels"]]]
}

test_connections_can_be_asked_for if {
	netpol.connectivity("shop/web", "payments/api") == [{"protocol": "TCP", "port": 443, "endPort": 443}]
	netpol.connection("shop/job", "payments/api", "TCP", 443).verdict == "denied"
	netpol.connection("shop/job", "payments/api", "TCP", 443).ingress.isolatedBy == ["payments/api", "payments/deny"]
	[flow.from.pods | some flow in netpol.reaches({"namespaces": ["payments"]})] == [["shop/web"]]
	netpol.reaches("payments/api") == netpol.reaches({"namespaces": ["payments"]})
}

test_a_difference_is_told_both_ways if {
	change := delete(policy("payments", "api", {}))
	netpol.difference(change).opened == []
	[flow.ports | some flow in netpol.difference(change).closed] == [[{"protocol": "TCP", "port": 443, "endPort": 443}]]
}
