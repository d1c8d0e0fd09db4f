# From 1.35 the baseline lets a pod in a user namespace lift the masks over /proc; here they stay.
package pod_security.restricted

import data.pod_security.baseline.unmasked_proc

overrides contains "procMount" if input.version >= 35

checks["procMount_restricted"] := unmasked_proc if input.version >= 35
