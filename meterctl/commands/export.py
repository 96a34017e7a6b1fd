"""``meterctl export``"""

import sys
from collections.abc import Iterator
from typing import Annotated

from meterctl.commands.common import argument, command, new_app, switch
from meterctl.core.canonical import canonical_text
from meterctl.core.errors import BadInput
from meterctl.core.model import Entry
from meterctl.core.operations import check_org
from meterctl.core.ports import Journal
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def export(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "One org; or --all.")] = None,
    all_orgs: Annotated[bool, switch("--all", "Every org, one after the other.")] = False,
) -> None:
    """Print journals as NDJSON, verifiable offline. Books nothing.

    An entry a line, oldest first, in canonical form. What it prints is what was hashed: anyone can check it without a
    store (docs/format.md), and so does `meterctl verify --file`.

    \b
    Example:
      meterctl export acme > acme.ndjson
    """
    if (org is None) != all_orgs:
        raise BadInput("name one org, or give --all", hint="meterctl export --all", code="usage")
    journal = wiring.store.journal
    orgs = journal.orgs() if org is None else iter([check_org(org)])
    for entry in _entries(journal, orgs):
        sys.stdout.write(canonical_text(entry) + "\n")


def _entries(journal: Journal, orgs: Iterator[str]) -> Iterator[Entry]:
    for org in orgs:
        yield from journal.read(org)
