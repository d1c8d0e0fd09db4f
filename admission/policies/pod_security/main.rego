# The Pod Security Standards as one answer: the checks a pod fails at a level and version.
#
# input: {"level": "baseline" | "restricted", "version": the minor of v1.MINOR,
#         "pod": {"metadata": …, "spec": …}}
# answer: data.pod_security.violations, an array of
#         {"rule": the check's name, "reason": …, "detail": …, "fields": [object paths]}
#
# A check is an entry of `baseline` or of `restricted`, and says itself which versions it holds for.
# The order is the one messages are written in: the baseline's checks by name, then the restricted
# ones by name. At an unknown level the answer stays undefined, which the program takes for an error
# and never for consent.
#
# Every file is of one package: what is imported from another one costs the engine a walk over all
# modules for each rule that is asked, which was half of a review.
package pod_security

violations := ordered(baseline, set()) if input.level == "baseline"

violations := array.concat(
	ordered(baseline, overrides),
	ordered(restricted, set()),
) if {
	input.level == "restricted"
}

ordered(checks, without) := [violation |
	some rule in sort(object.keys(checks))
	not rule in without
	violation := object.union(checks[rule], {"rule": rule})
]
