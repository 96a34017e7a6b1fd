"""The sweep: book everything that is due, for all orgs.

`sweeper` runs it, `due_orgs` finds the orgs, and `due_booker` books them. `lease` keeps two sweeps from the same work,
and `prometheus` writes the metrics.
"""
