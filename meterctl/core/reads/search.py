"""Finding what was booked under a ref or for a run, also without knowing whose it is.

No index holds refs or runs of all orgs: it would cost every append, for a question that is seldom asked. So the orgs
are counted off and asked in pages, by the index on keys that idempotency rests on. That costs some microseconds an org,
whatever the length of its journal, and no memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from meterctl.core.domain.checks import key_part
from meterctl.core.errors import BadInput, NotFound
from meterctl.core.model import Entry
from meterctl.core.ports import Journal

#: Kinds under whose keys a caller's ref can stand.
_REF_KEYS = ("debit:", "adjust:", "plan:", "reset:")

#: Orgs that are asked at once.
_PAGE = 500

#: Orgs that are named where several have it.
_NAMED = 5

#: Finds what is looked for in the journals of some orgs.
Look = Callable[[Sequence[str]], Iterator[Entry]]


def by_ref(journal: Journal, ref: str) -> Look:
    """What was booked under ``ref``."""

    def look(orgs: Sequence[str]) -> Iterator[Entry]:
        yield from journal.by_keys((org, prefix + ref) for org in orgs for prefix in _REF_KEYS).values()

    return look


def by_run(journal: Journal, run: str) -> Look:
    """What was booked for the steps of ``run``."""
    return lambda orgs: journal.starting(orgs, f"run:{key_part(run)}:")


def newest_first(look: Look, org: str) -> Iterator[Entry]:
    """What ``look`` finds in one org."""
    return iter(sorted(look([org]), key=lambda entry: -entry["seq"]))


def org_of(journal: Journal, look: Look, what: str, code: str) -> str:
    """The org in whose journal ``look`` finds something. Raises `NotFound` where none has it, and `BadInput` where
    several have: a ref is unique only within an org."""
    orgs: set[str] = set()
    stream = journal.orgs()
    while page := list(islice(stream, _PAGE)):  # bounded: by the orgs
        orgs |= {entry["org"] for entry in look(page)}
    if not orgs:
        raise NotFound(f"no org has {what}", code=code, hint="check it; due entries have no ref and no run")
    if len(orgs) > 1:
        named = ", ".join(sorted(orgs)[:_NAMED]) + (", ..." if len(orgs) > _NAMED else "")
        raise BadInput(f"{len(orgs)} orgs have {what}: {named}", hint="name the org too", code="several_orgs")
    return orgs.pop()
