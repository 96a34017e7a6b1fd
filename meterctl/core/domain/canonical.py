"""The canonical form of an entry and its hash, which let anyone check a journal.

docs/format.md describes both for a checker of your own. orjson writes the form: a tenth of the time of the standard
library's encoder, and byte for byte the same for every document that the format allows.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from meterctl.core.domain import digest
from meterctl.core.domain.pattern import lazy_pattern

# Dates and dataclasses have no JSON form: refuse them, as the standard library does.
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

#: Raised by `canonical_bytes` for a document without a canonical form.
NOT_CANONICAL = (TypeError, ValueError)


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as JSON with sorted keys, no spaces and plain UTF-8 characters.

    The format knows no number but whole ones of 64 bits. Raises one of `NOT_CANONICAL` for a larger one, for half of a
    surrogate pair, and for a value that is not JSON.
    """
    return orjson.dumps(document, option=_OPTIONS)


def canonical_text(document: Mapping[str, Any]) -> str:
    """Return `canonical_bytes` as text."""
    return canonical_bytes(document).decode()


#: Returns the value that a stored or exported text holds. Raises `ValueError` if it is not JSON. The last of two fields
#: with one name wins, and a number beyond 64 bits becomes a float. Readers that must notice use `canonical_bytes` on
#: the result, or `meterctl.core.files.operation_lines`.
parse_json = orjson.loads


def hashed_bytes(entry: Mapping[str, Any]) -> bytes:
    """Return the part of ``entry`` that its hash covers: its canonical form without ``hash``."""
    bare = {**entry}
    bare.pop("hash", None)
    return canonical_bytes(bare)


def without_hash(text: bytes, own_hash: str) -> bytes:
    """Return the `hashed_bytes` of an entry from its canonical form, ``text``, and its hash."""
    return text.replace(b'"hash":"%b",' % own_hash.encode(), b"", 1)


def chain_hash(prev: str, text: bytes) -> str:
    """Return the SHA-256, in hex, over the previous entry's hash and the `hashed_bytes` of an entry."""
    hash_: str = digest.sha256(prev.encode() + text).hexdigest()
    return hash_


#: Where a canonical form names its hash: at the first such place, for its fields are in order of name.
_HASH = lazy_pattern(rb'"hash":"([0-9a-f]{64})",')


def has_its_hash(text: bytes) -> bool:
    """Return True if a canonical form has the hash that it says, without reading it into a document."""
    match, place = _HASH.search(text), text.rfind(b'"prev":"')
    if match is None or place < 0:
        return False
    prev = text[place + 8 : place + 72]
    return bool(digest.sha256(prev + text[: match.start()] + text[match.end() :]).hexdigest().encode() == match[1])


def entry_hash(entry: Mapping[str, Any]) -> str:
    """Return the hash that ``entry`` must have."""
    return chain_hash(entry["prev"], hashed_bytes(entry))
