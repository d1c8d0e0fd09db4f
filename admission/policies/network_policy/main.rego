# Rules about who may reach whom, each of them off unless it is chosen.
#
# input: {"change": {"operation", "namespace", "object", "oldObject"} as an AdmissionReview has them,
#         "rules": {"refuse": [names], "defaultDeny": [directions], "separate": [[namespace, namespace]],
#                   "neverOpen": [{"name", "from", "to"}], "exemptNamespaces": [names]}}
# answer: data.network_policy.violations, an array of
#         {"rule", "reason", "detail": which policy and why, "fields": [object paths]}
#
# A rule adds to `found` in a file of its own. What policies mean, and what a change does, is not worked out here but
# asked of the builtins netpol.*, which know the whole cluster.
package network_policy

import data.network_policy.rules.found

violations := [violation | some violation in found]
