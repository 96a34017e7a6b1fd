"""What ``expire`` and ``reset-week`` share: they are one sweep, reported from two sides."""

from typing import Annotated

from meterctl.commands.common import argument, switch
from meterctl.core.errors import BadInput
from meterctl.core.operations import check_org
from meterctl.core.results import Sweep
from meterctl.wiring import Wiring

OrgOrAll = Annotated[str | None, argument("[ORG]", "One org; or --all.")]
AllOrgs = Annotated[bool, switch("--all", "Every org that has something due.")]
FailIfLocked = Annotated[bool, switch("--fail-if-locked", "Exit 9 if another sweep is running.")]


def run_sweep(wiring: Wiring, name: str, org: str | None, all_orgs: bool, fail_if_locked: bool) -> Sweep:
    """Sweep one org or all of them."""
    if (org is None) != all_orgs:
        raise BadInput("name one org, or give --all", hint=f"meterctl {name} --all", code="usage")
    at = wiring.at
    started = wiring.elapsed()
    sweep = wiring.sweeper(name).all(at, fail_if_locked=fail_if_locked) if org is None else _one(wiring, name, org)
    sweep.seconds = wiring.elapsed() - started
    return sweep


def _one(wiring: Wiring, name: str, org: str) -> Sweep:
    return wiring.sweeper(name).one(check_org(org), wiring.at)
