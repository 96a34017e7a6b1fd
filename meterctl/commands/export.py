"""``meterctl export``"""

import sys
from itertools import chain
from typing import Annotated

from meterctl.commands.command import answering, command, new_app, report_no_journal
from meterctl.commands.options import argument, completer, filter_time, option, switch
from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def export(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "One org; or --all.", completer("complete_orgs"))] = None,
    all_orgs: Annotated[bool, switch("--all", "Every org, one after the other.")] = False,
    since: Annotated[str | None, option("--since", "TIME", "Only entries recorded from then on: 26h, ...")] = None,
    plans: Annotated[bool, switch("--plans", "With --all: plan versions first, to import elsewhere.")] = False,
) -> None:
    """Print journals as NDJSON, verifiable offline. Books nothing.

    Prints one entry per line, oldest first, in canonical form. These are the hashed bytes, so anyone can check them
    without a store (docs/format.md), for example with `meterctl verify --file`. `meterctl import` reads them back.

    \b
    Examples:
      meterctl export acme > acme.ndjson
      meterctl export --all --plans | gzip > backup.ndjson.gz
      meterctl export --all --since 26h > since-yesterday.ndjson
    """
    if (org is None) != all_orgs:
        raise BadInput("name one org, or give --all", hint="meterctl export --all", code="usage")
    if plans and not all_orgs:
        raise BadInput("plan versions belong to all orgs", hint="meterctl export --all --plans", code="usage")
    from meterctl.core.reads.export_lines import entry_texts, plan_texts

    prepare_long_run()
    texts = entry_texts(wiring.store, None if org is None else check_org(org), filter_time(wiring, "since", since))
    first = next(texts, None)
    if first is None:
        report_no_journal(wiring, org, "nothing was exported")
    with answering():
        # Bytes, not text: the hashes cover UTF-8, and the terminal may use another encoding.
        sys.stdout.flush()
        sys.stdout.buffer.writelines(plan_texts(wiring.store) if plans else ())
        sys.stdout.buffer.writelines(() if first is None else chain([first], texts))
        sys.stdout.buffer.flush()
