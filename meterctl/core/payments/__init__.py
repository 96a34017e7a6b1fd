"""Payments and their credits, for any provider.

`stripe` reads Stripe's objects and talks to its API, `webhooks` books the events of a file, and `reconcile` compares a
provider's payments with the journal.
"""
