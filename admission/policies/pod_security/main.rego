# The Pod Security Standards as one answer: the checks a pod fails at a level and version.
#
# input: {"level": "baseline" | "restricted", "version": the minor of v1.MINOR,
#         "pod": {"metadata": …, "spec": …}}
# answer: data.pod_security.violations, an array of
#         {"rule": the check's name, "reason": …, "detail": …, "fields": [object paths]}
#
# A check is an entry of `checks` in its level's package, and says itself which versions it
# holds for. The order is the one messages are written in: the baseline's checks by name, then
# the restricted ones by name. At an unknown level the answer stays undefined, which the
# program takes for an error and never for consent.
#
# Rules of the two levels are imported one by one, never their packages: a level is many files,
# and the engine, asked for a package as a whole, takes it for known after the first of them and
# leaves the imports of the others undefined.
package pod_security

import data.pod_security.baseline.checks as baseline_checks
import data.pod_security.restricted.checks as restricted_checks
import data.pod_security.restricted.overrides

violations := ordered(baseline_checks, set()) if input.level == "baseline"

violations := array.concat(
	ordered(baseline_checks, overrides),
	ordered(restricted_checks, set()),
) if {
	input.level == "restricted"
}

ordered(checks, without) := [violation |
	some rule in sort(object.keys(checks))
	not rule in without
	violation := object.union(checks[rule], {"rule": rule})
]
