"""The sweep: everything that is due is booked, whoever it concerns.

`sweeper` is the sweep itself; `dueorgs` finds the orgs it takes on, `duebooker` books what is due at them, `keptlock`
saves two sweeps the same work, and `metrics` tells what came of it to Prometheus.
"""
