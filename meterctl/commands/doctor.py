"""``meterctl doctor``"""

from contextlib import ExitStack, closing
from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import option
from meterctl.config.settings import Settings
from meterctl.core.booking.checked_clock import JudgedClock
from meterctl.core.domain.checks import check_integer
from meterctl.core.errors import BadConfig, StoreUnreachable
from meterctl.core.ports import Observation
from meterctl.core.stores.url import open_store
from meterctl.core.verify.doctor import SAMPLE, Diagnosis, Doctor, finding_of
from meterctl.process.clock import SystemClock
from meterctl.wiring import Wiring

app = new_app()


@command(app, metrics="doctor")
def doctor(
    wiring: Wiring,
    sample: Annotated[str, option("--sample", "N", "Number of orgs and claims to check.")] = str(SAMPLE),
) -> Diagnosis:
    """Check config and store, with advice for each finding. Changes nothing.

    Exit 0 without a finding, 8 with one, 10 if the store does not answer. Cheap enough for cron; to check all of the
    journal: meterctl verify --all

    \b
    Example:
      meterctl doctor
    """
    return _diagnose(wiring, check_integer(sample, "sample", least=1, most=10_000))


def _diagnose(wiring: Wiring, sample: int) -> Diagnosis:
    """Look over config and store. A mistake in the config does not keep from a look at the store."""
    diagnosis = Diagnosis(wiring.describe_store(), [_examine_config(wiring)])
    # A pinned clock tells nothing of how this machine's clock stands.
    machine = SystemClock()
    with ExitStack() as stack:
        try:
            store = stack.enter_context(closing(open_store(wiring.store_url, only_look=True)))
            waiting = wiring.clock if diagnosis.ok else machine
            now = waiting.now()
        except StoreUnreachable as problem:
            diagnosis.note_unreachable(problem)
            return diagnosis
        settings = wiring.settings if diagnosis.ok else Settings()
        judge = JudgedClock(waiting, store.clock, settings.clock_limits, is_pinned=wiring.is_pinned)
        plans = (wiring.configured_plans(), wiring.settings.terms.default_plan) if diagnosis.ok else ()
        Doctor(store, now, machine, sample, *plans, max_jump=settings.max_clock_jump, waiting=judge).look(diagnosis)
    return diagnosis


def _examine_config(wiring: Wiring) -> Observation:
    try:
        settings = wiring.settings
    except BadConfig as problem:
        return finding_of("config", problem)
    source = "no config file: the defaults hold" if settings.source is None else str(settings.source)
    if settings.allow_time_travel and not wiring.embedded:
        fix = "take allow_time_travel out of the config of anything but a test system"
        return Observation("config", None, f"{source}: whoever writes may pin the clock", fix)
    return Observation("config", True, source)
