"""Find the entries of a ref or run, even if the org is unknown.

No index covers the refs or runs of all orgs: it would slow every append down for a rare question. So the search reads
the index on keys for a page of orgs at a time. It costs some microseconds an org, however long the journal, and no
memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from meterctl.core.domain.checks import key_part
from meterctl.core.errors import BadInput, NotFound
from meterctl.core.model import Entry
from meterctl.core.ports import Journal

#: Prefixes of keys that may contain a caller's ref.
_REF_KEYS = ("debit:", "adjust:", "plan:", "reset:")

#: Orgs per look-up.
_PAGE = 500

#: The most orgs listed in the error that several match.
_MOST_LISTED = 5

#: Finds the matching entries of some orgs.
Look = Callable[[Sequence[str]], Iterator[Entry]]


def by_ref(journal: Journal, ref: str) -> Look:
    """Return a look-up of the entries booked under ``ref``."""

    def look(orgs: Sequence[str]) -> Iterator[Entry]:
        yield from journal.by_keys((org, prefix + ref) for org in orgs for prefix in _REF_KEYS).values()

    return look


def by_run(journal: Journal, run: str) -> Look:
    """Return a look-up of the entries booked for the steps of ``run``."""
    return lambda orgs: journal.starting(orgs, f"run:{key_part(run)}:")


def newest_first(look: Look, org: str) -> Iterator[Entry]:
    """Return the matches of ``look`` in one org, newest first."""
    return iter(sorted(look([org]), key=lambda entry: -entry["seq"]))


def org_of(journal: Journal, look: Look, label: str, code: str) -> str:
    """Return the only org with a match of ``look``; ``label`` names the ref or run in errors.

    Raises `NotFound` if no org has a match, and `BadInput` if several have: a ref is unique only within an org."""
    orgs: set[str] = set()
    stream = journal.orgs()
    while page := list(islice(stream, _PAGE)):  # bounded: by the orgs
        orgs |= {entry["org"] for entry in look(page)}
    if not orgs:
        raise NotFound(f"no org has {label}", code=code, hint="check the spelling; due entries have no ref and no run")
    if len(orgs) > 1:
        names = ", ".join(sorted(orgs)[:_MOST_LISTED]) + (", ..." if len(orgs) > _MOST_LISTED else "")
        raise BadInput(
            f"{len(orgs)} orgs have {label}: {names}", hint="add the org: meterctl ledger ORG ...", code="several_orgs"
        )
    return orgs.pop()
