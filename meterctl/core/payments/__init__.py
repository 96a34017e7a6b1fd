"""Payments: what Stripe says was paid and given back, against what is booked. `gateway` alone speaks to Stripe."""
