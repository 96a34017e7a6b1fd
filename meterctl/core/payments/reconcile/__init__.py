"""Reconcile: read both sides, compare them case by case, and find the operations that mend the differences."""
