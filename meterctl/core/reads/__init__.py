"""Queries: they read a store and change nothing.

`queries` answers for one org, now or at a past instant. `explain` reports on it in full, with the history of each lot
(`lot_history`); `balance_series` has its balance over time. `org_list` lists many orgs, `search` finds entries of an
unknown org, `feeds` waits for new entries, and `refund_preview` shows the effect of a refund.
"""
