"""Webhooks: deliveries are read, combined object by object, and booked."""
