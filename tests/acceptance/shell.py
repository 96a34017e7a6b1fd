"""One command line per call, and what came of it."""

import json
import os
import re
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from meterctl import schemas
from meterctl.core.model import Instant
from meterctl.core.ports import Lease

#: Another process, as it names itself in locks.
OTHER = "other:1:abc"

#: The Monday of 2026-W47.
MONDAY = "2026-11-16T00:00:00.000Z"
NOW = "2026-11-16T12:00:00.000Z"
EARLIER = "2026-11-15T12:00:00.000Z"
NEXT_MONDAY = "2026-11-23T00:00:00.000Z"

FORMATS = ("table", "json", "ndjson", "csv", "markdown", "plain")

CONFIG = """\
allow_time_travel = true
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 21
[packs.brief]
units = 100
price_cents = 300
currency = "eur"
expiry_days = 1
[packs.any]
unit_price_cents = "0.5"
currency = "usd"
[packs.gift]
units = 50
price_cents = 0
currency = "usd"
[plans.pro]
weekly_quota = 500
ratios = { default = "1", llm = "1.25" }
"""


@dataclass(frozen=True)
class Answer:
    """What a command line answered."""

    code: int
    out: str
    err: str

    @property
    def doc(self) -> dict[str, Any]:
        """The one document on standard output."""
        (line,) = self.out.splitlines()
        document: dict[str, Any] = json.loads(line)
        return document

    @property
    def error(self) -> dict[str, Any]:
        """The one document on standard error, where standard output has to be empty."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        document: dict[str, Any] = json.loads(line)
        assert document["schema"] == "meterctl.error.v1"
        return document


@cache
def _adapter(name: str) -> Any:
    return schemas.adapter(name)


def conforms(document: dict[str, Any], name: str | None = None) -> None:
    """Holds a document to its schema, in both directions. A reader leaves alone what it does not know; here that would
    be a field somebody forgot to describe. A schema itself is no such document."""
    if "$schema" not in document:
        name = name or document["schema"].removeprefix("meterctl.").removesuffix(".v1")
        assert _adapter(name).validate_python(document, strict=True) == document, name


def without_clock(text: str) -> str:
    """Leave out the line which says that the clock is pinned: pages that show a story say so once."""
    return re.sub(r"^\s*(?:> )?warning \[clock_pinned\].*\n", "", text, flags=re.MULTILINE)


class Shell:
    """Someone at a shell. A line is split as a shell would; the words of it can also be given one by one."""

    def __init__(
        self, call: Callable[[list[str], str], Answer], setenv: Callable[[str, str], None], store: str, place: Path
    ) -> None:
        self._call = call
        self.setenv = setenv
        self.store = store
        self.place = place

    def __call__(self, *words: str, now: str | None = None, stdin: str = "") -> Answer:
        argv = shlex.split(words[0]) if len(words) == 1 else list(words)
        return self._call([*(["--now", now] if now else []), *argv], stdin)

    def json(self, *words: str, now: str | None = None, stdin: str = "") -> Answer:
        argv = shlex.split(words[0]) if len(words) == 1 else list(words)
        answer = self("--json", *argv, now=now, stdin=stdin)
        if len(answer.out.splitlines()) == 1:
            conforms(answer.doc)
        return answer

    def doc(self, *words: str, now: str | None = None) -> dict[str, Any]:
        """The document of a command that succeeds."""
        answer = self.json(*words, now=now)
        assert answer.code == 0, answer
        return answer.doc

    def all(self, *lines: str, now: str | None = None) -> None:
        """Lines that prepare a case: each has to succeed."""
        for line in lines:
            answer = self(line, now=now)
            assert answer.code == 0, (line, answer)

    def config(self, text: str) -> Path:
        """Replace the config file."""
        path = self.place / "meterctl.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def file(self, name: str, text: str) -> str:
        path = self.place / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def pipe(self, name: str, text: str) -> str:
        """A pipe that someone writes ``text`` to, as in ``<(cat file)``."""
        path = self.place / name
        os.mkfifo(path)
        threading.Thread(target=path.write_text, args=(text, "utf-8"), daemon=True).start()
        return str(path)

    def journal(self) -> str:
        """Everything booked, byte for byte."""
        answer = self("export --all")
        assert answer.code == 0, answer
        return answer.out

    def seqs(self, org: str = "acme") -> list[int]:
        entries = self.doc(f"ledger {org} --all-kinds --limit 1000")["entries"]
        return [entry["seq"] for entry in entries]


def hold_lock(run: Shell, until: str = "2026-11-16T12:01:00.000Z") -> None:
    """Be another process that sweeps, on the embedded store."""
    from meterctl.core.stores.sqlite import SqliteStore

    store = SqliteStore(str(run.place / "meterctl.db"))
    lease = Lease("sweep", OTHER, Instant(NOW), Instant(until))
    assert store.locks.acquire(lease, Instant(NOW)).holder == OTHER
    store.close()
