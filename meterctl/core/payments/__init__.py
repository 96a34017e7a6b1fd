"""Payments: book and compare Stripe's payments and refunds. Only `stripe_gateway` talks to Stripe."""
