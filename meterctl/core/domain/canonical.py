"""The canonical form of an entry and its hash: what makes a journal checkable by anyone.

docs/format.md describes both for someone who writes a checker of their own.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

# One encoder for all: json.dumps() with these options would build a new one on each call. What is encoded was read from
# JSON or built by the rules, so no object holds itself: looking out for that would cost a tenth of the time.
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def canonical_text(document: Mapping[str, Any]) -> str:
    """``document`` as JSON with sorted keys, no spaces and plain UTF-8 characters."""
    return _encode(document)


def hashed_text(entry: Mapping[str, Any]) -> str:
    """What the hash of ``entry`` covers of it: its canonical form without ``hash``."""
    bare = {**entry}
    bare.pop("hash", None)
    return _encode(bare)


def chain_hash(prev: str, text: str) -> str:
    """SHA-256, in hex, over the previous entry's hash and the `hashed_text` of an entry."""
    return sha256((prev + text).encode()).hexdigest()


def entry_hash(entry: Mapping[str, Any]) -> str:
    """The hash that ``entry`` must have."""
    return chain_hash(entry["prev"], hashed_text(entry))
