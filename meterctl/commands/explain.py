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
    """Explain why an org may run or not, lot by lot, and what happens next.

    Books nothing. Says in sentences what a customer wants to hear, in one sum that adds up; then what became of every
    live lot and of those that went last, what is due next, and what is odd. Every number names the entries behind it.
    -o html prints it as one page.

    \b
    Examples:
      meterctl explain acme
      meterctl explain acme --as-of 2026-11-01
    """
    explainer = Explainer(wiring.store, wiring.clock, wiring.settings.terms)
    return explainer.explain(org, filter_time(wiring, "as of", as_of))
