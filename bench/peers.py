"""Other ledgers on the same work: medici (Node, on MongoDB), hledger (Haskell) and Beancount (Python, C).

hledger comes from the system (``apt-get install hledger``). medici and Beancount are installed from npm and PyPI into
the user's cache, never beside this project. A peer that cannot be had is named on standard error and left out.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from meterctl.core.model import Entry

MEDICI, BEANCOUNT = "medici@7.4.0", "beancount==3.2.3"

#: How long fetching a peer may take.
_FETCH_SECONDS = 300

_SCRIPT = Path(__file__).with_name("medici.js")


def _cache(name: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    directory = Path(base).expanduser() / "meterctl-bench" / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _fetch(name: str, made: Path, *commands: list[str]) -> Path | None:
    """Return ``made`` once the commands have installed it; None, with a line on standard error, if they cannot."""
    try:
        for command in [] if made.exists() else commands:
            subprocess.run(command, check=True, timeout=_FETCH_SECONDS, capture_output=True, cwd=made.anchor)
    except (OSError, subprocess.SubprocessError) as problem:
        sys.stderr.write(f"{name} is left out: {problem}\n")
        return None
    return made


def checking(directory: Path, entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Return the commands that check ``entries``, written to ``directory`` in the form of each peer that is there."""
    booked = list(entries)
    peers = {"hledger check": (hledger(), hledger_journal), "bean-check": (bean_check(), beancount_journal)}
    commands = {}
    for name, (command, lines) in peers.items():
        if command is not None:
            path = directory / f"{name.split()[0]}.journal"
            with path.open("w") as file:
                file.writelines(lines(booked))
            commands[name] = [*command, str(path)]
    return commands


def hledger() -> list[str] | None:
    """Return the command that checks a journal of hledger."""
    found = shutil.which("hledger")
    if found is None:
        sys.stderr.write("hledger is left out: it is not installed (apt-get install hledger)\n")
        return None
    return [found, "check", "--file"]


def bean_check() -> list[str] | None:
    """Return the command that checks a journal of Beancount, without its cache of parsed files."""
    directory = _cache(BEANCOUNT)
    python = directory / "bin" / "python"
    made = _fetch(
        "beancount",
        directory / "bin" / "bean-check",
        [sys.executable, "-m", "venv", str(directory)],
        [str(python), "-m", "pip", "install", "--quiet", BEANCOUNT],
    )
    return None if made is None else [str(made), "--no-cache"]


def medici_milliseconds(uri: str, calls: int) -> float | None:
    """Return the median duration of a guarded withdrawal by medici on the server at ``uri``."""
    directory = _cache("medici")
    install = ["npm", "install", "--silent", "--prefix", str(directory), MEDICI]
    modules = _fetch("medici", directory / "node_modules" / "medici", install)
    if modules is None:
        return None
    command = ["node", str(_SCRIPT), uri, str(calls)]
    environment = {**os.environ, "NODE_PATH": str(modules.parent)}
    done = subprocess.run(command, check=True, timeout=600, capture_output=True, env=environment)
    return float(median(json.loads(done.stdout)))


# The same journals in the form of each


def hledger_journal(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield each entry as a transaction of two postings, with the balance after it asserted."""
    for entry in entries:
        date, units = entry["at"][:10], entry["amount"]
        org, kind = f"orgs:{entry['org']}", f"kinds:{entry['kind']}"
        yield f"{date} {entry['key']}\n    {org}  {units} UNIT = {entry['balance']} UNIT\n    {kind}  {-units} UNIT\n\n"


def beancount_journal(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield each entry as a transaction of two postings; Beancount asserts balances by the day, so once an org."""
    last: dict[str, Entry] = {}
    kinds: set[str] = set()
    for entry in entries:
        org, kind = f"Assets:{entry['org'].title()}", f"Income:{entry['kind'].title()}"
        if entry["org"] not in last:
            yield f"1970-01-01 open {org}\n"
        if kind not in kinds:
            kinds.add(kind)
            yield f"1970-01-01 open {kind}\n"
        last[entry["org"]] = entry
        units = entry["amount"]
        yield f'{entry["at"][:10]} * "{entry["key"]}"\n  {org}  {units} UNIT\n  {kind}  {-units} UNIT\n\n'
    for org, entry in last.items():
        yield f"2999-01-01 balance Assets:{org.title()}  {entry['balance']} UNIT\n"
