"""Saved plans: `plan_file` writes and reads them, `apply` executes them."""
