"""Words that a shell may offer for what is being typed."""

from collections.abc import Callable, Iterable
from contextlib import closing

import typer

from meterctl.commands.command import contexts_above, options_said
from meterctl.core.errors import MeterctlError
from meterctl.core.ports import sound
from meterctl.wiring import Wiring


def complete_packs(context: typer.Context, begun: str) -> list[str]:
    """The packs of the config."""
    return _offered(context, begun, lambda wiring: wiring.settings.terms.packs)


def complete_plans(context: typer.Context, begun: str) -> list[str]:
    """The plans of the config and the published ones."""
    return _offered(
        context, begun, lambda w: {*w.settings.plans, *(version.plan for version in sound(w.store.plans.all()))}
    )


def _offered(context: typer.Context, begun: str, words: Callable[[Wiring], Iterable[str]]) -> list[str]:
    """Those of ``words`` that start as ``begun``. A shell that asks in vain is no place for an error."""
    said = [context.params, *(above.params for above in contexts_above(context))]
    try:
        with closing(Wiring(options_said(["store", "config", "profile"], said))) as wiring:
            return sorted(word for word in words(wiring) if word.startswith(begun))
    except MeterctlError:
        return []
