"""Seals: files with the last entry of each journal, kept elsewhere, to prove later that no entry was cut or rewritten.

One JSON object a line: a header with the time, an ``{org, seq, hash}`` for each org, and a last line with their number
and the SHA-256 of all lines before it. So a cut or changed seal is detected.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from meterctl.core.domain.canonical import canonical_bytes, parse_json
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.results import schema_name
from meterctl.core.verify.journal_check import Sealed

SEAL = "seal"

_SCHEMA = schema_name(SEAL)


class SealWriter:
    """Writes a seal line by line through ``write``; it is valid only after `close`."""

    def __init__(self, write: Callable[[str], object], at: Instant) -> None:
        self._write = write
        self._digest = sha256()
        self._orgs = 0
        self._line({"schema": _SCHEMA, "at": at})

    def add(self, org: str, seq: int, digest: str) -> None:
        """Seal the journal of ``org`` up to entry ``seq``, whose hash is ``digest``."""
        self._orgs += 1
        self._line({"org": org, "seq": seq, "hash": digest})

    def close(self) -> None:
        self._line({"orgs": self._orgs, "digest": self._digest.hexdigest()})

    def _line(self, document: dict[str, Any]) -> None:
        line = canonical_bytes(document) + b"\n"
        self._digest.update(line)
        self._write(line.decode())


class Seal:
    """A seal in memory: `take` returns and removes the end of an org's journal; `rest` are the other orgs."""

    def __init__(self, tips: dict[str, Sealed]) -> None:
        self._tips = tips

    def take(self, org: str) -> Sealed | None:
        return self._tips.pop(org, None)

    def part(self, orgs: Iterable[str]) -> "Seal":
        """Return a seal of ``orgs`` and remove them from this one."""
        return Seal({org: tip for org in orgs if (tip := self.take(org)) is not None})

    def rest(self) -> Iterable[tuple[str, Sealed]]:
        return self._tips.items()


#: More bytes than a line of a seal has; reading so many at a time bounds the memory for a file that is none.
LONGEST_SEAL_LINE = 4096


def read_seal(lines: Iterable[bytes]) -> Seal:
    """Return the seal that `SealWriter` wrote as ``lines``. Raises `BadInput` unless it is complete and unchanged.

    Memory grows by some 300 bytes for each org.
    """
    digest = sha256()
    tips, last = dict[str, Sealed](), None
    for number, line in enumerate(lines, 1):
        if last is not None:
            raise _damage(f"line {number} comes after its last one")
        document = _document(line, number)
        if number == 1:
            _check_header(document)
        elif "digest" in document:
            last = document
            continue
        else:
            org, tip = _tip(document, number)
            tips[org] = tip
        digest.update(line)
    if last != {"orgs": len(tips), "digest": digest.hexdigest()}:
        raise _damage("its last line does not match" if last else "its last line is missing")
    return Seal(tips)


def _document(line: bytes, number: int) -> dict[str, Any]:
    try:
        document = parse_json(line)
    except ValueError:
        raise _damage(f"line {number} is not JSON") from None
    if not isinstance(document, dict):
        raise _damage(f"line {number} is not an object")
    return document


def _check_header(document: dict[str, Any]) -> None:
    if document.get("schema") != _SCHEMA or not isinstance(document.get("at"), str):
        raise BadInput(
            "the file is not a seal", hint="make one with: meterctl verify --all --seal FILE", code="bad_seal"
        )


def _tip(document: dict[str, Any], number: int) -> tuple[str, Sealed]:
    org, seq, digest = (document.get(name) for name in ("org", "seq", "hash"))
    if not (isinstance(org, str) and isinstance(seq, int) and isinstance(digest, str)):
        raise _damage(f"line {number} does not name an org, a seq and a hash")
    return org, Sealed(seq, digest)


def _damage(problem: str) -> BadInput:
    hint = "the seal was cut or changed, so it proves nothing: use another copy"
    return BadInput(f"the seal is damaged: {problem}", hint=hint, code="bad_seal")
