"""The range of keys that a prefix stands for, as each store searches it."""


def end_of_prefix(prefix: str) -> str:
    """Return the first text, in code point order, after all that start with ``prefix`` (not empty)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
