"""Queries: they read a store and change nothing.

One org: `queries` answers, now or at a past instant (`past`), with `ledger_query`, `chart` over `balance_series`, and
`lot_list`. `explain` reports on it in full, in `explain_words`, with `lot_history` and `debt_age`; `forecaster` gathers
the weeks that `forecast` computes from; `refund_preview` shows the effect of a refund; `entry_names` finds an entry to
undo.

Many orgs: `org_list` lists them, `near_orgs` finds the one that a mistyped id means, `search` and `search_all` find
entries, `feeds` waits for new ones, `export_lines` streams them all, and `gauges` are the figures for monitoring.

Money: `statement` and `report` add up the `movements` of a `period`, and the price of `outstanding` units.
"""
