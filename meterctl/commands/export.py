"""``meterctl export``"""

import sys
from itertools import chain
from typing import Annotated

from meterctl.commands.command import answering, command, new_app, tell_no_journal
from meterctl.commands.options import argument, switch
from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput
from meterctl.process.garbage import collect_garbage
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
    collect_garbage()
    texts = wiring.store.journal.texts(None if org is None else check_org(org))
    first = next(texts, None)
    if first is None:
        tell_no_journal(org, wiring.describe_store(), "nothing was exported")
        return
    with answering():
        # Bytes, not text: what was hashed is UTF-8, whatever the terminal speaks.
        sys.stdout.flush()
        sys.stdout.buffer.writelines(entry.text + b"\n" for entry in chain([first], texts))
        sys.stdout.buffer.flush()
