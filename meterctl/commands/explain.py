"""``meterctl explain``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import Org, filter_time, option
from meterctl.core.reads.explain import Explainer, Explanation
from meterctl.wiring import Wiring

app = new_app()


@command(app, formats=("html",))
def explain(
    wiring: Wiring,
    org: Org,
    as_of: Annotated[str | None, option("--as-of", "TIME", "At that time instead of now.")] = None,
) -> Explanation:
    """Explain an org's balance and admission, lot by lot, and the next due events.

    Books nothing. Answers a customer's questions in sentences, with one sum that adds up. Then it lists the live and
    most recent lots with the use of their units, the next due events, and oddities. Every number names its entries.
    -o html prints one page.

    \b
    Examples:
      meterctl explain acme
      meterctl explain acme --as-of 2026-11-01
    """
    explainer = Explainer(wiring.store, wiring.clock, wiring.settings.terms)
    return explainer.explain(org, filter_time(wiring, "as of", as_of))
