# From 1.35 the baseline lets a pod in a user namespace lift the masks over /proc; here they stay.
package pod_security

overrides contains "procMount" if input.version >= 35

restricted["procMount_restricted"] := unmasked_proc if input.version >= 35
