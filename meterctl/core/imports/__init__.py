"""Bringing journals in: from an export, or from the system that this one replaces."""
