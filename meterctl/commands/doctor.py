"""``meterctl doctor``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import option
from meterctl.core.domain.checks import check_integer
from meterctl.core.verify.doctor import SAMPLE, Diagnosis
from meterctl.wiring import Wiring

app = new_app()


@command(app, metrics="doctor")
def doctor(
    wiring: Wiring,
    sample: Annotated[str, option("--sample", "N", "How many orgs and claims to look at.")] = str(SAMPLE),
) -> Diagnosis:
    """Look over config and store, and say what to do about each finding. Changes nothing.

    Exit 0 if nothing is wrong, 8 if something is, 10 if the store does not answer. Cheap enough for cron; all of the
    journal is looked at by: meterctl verify --all

    \b
    Example:
      meterctl doctor
    """
    return wiring.diagnose(check_integer(sample, "sample", least=1, most=10_000))
