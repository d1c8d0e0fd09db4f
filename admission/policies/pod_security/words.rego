# The words messages are put together from, as Kubernetes words them.
package pod_security

plural(one, _, items) := one if count(items) == 1

plural(_, many, items) := many if count(items) != 1

# "a", "b": joined as they are, without escaping what is inside the quotes.
quoted(items) := sprintf("\"%s\"", [concat("\", \"", items)])

# container "a" / containers "a", "b"
named_containers(places) := sprintf("%s %s", [plural("container", "containers", places), quoted(names_of(places))])

names_of(places) := [place.name | some place in places]

# pod and containers "a", "b": who set what should not be set.
who_set(in_pod, in_containers) := concat(" and ", array.concat(
	names_of(in_pod),
	[named_containers(in_containers) | count(in_containers) > 0],
))

# The object paths of a field at some places.
fields_at(places, field) := [sprintf("%s.%s", [place.at, field]) | some place in places]
