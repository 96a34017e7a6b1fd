"""Stripe: its objects, its API, and the fields in which a shop names orgs and packs. Only `gateway` sends requests."""
