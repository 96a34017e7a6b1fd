"""The canonical form of an entry and its hash: what makes a journal checkable by anyone.

docs/format.md describes both for someone who writes a checker of their own.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

# One encoder for all: json.dumps() with these options would build a new one on each call.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_text(document: Mapping[str, Any]) -> str:
    """``document`` as JSON with sorted keys, no spaces and plain UTF-8 characters."""
    return _encode(document)


def entry_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256, in hex, over the previous entry's hash and the canonical form of ``entry`` without ``hash``."""
    bare = {name: value for name, value in entry.items() if name != "hash"} if "hash" in entry else entry
    return sha256((entry["prev"] + _encode(bare)).encode()).hexdigest()
