"""``meterctl lock``: list, break"""

from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.options import argument
from meterctl.core.errors import BadInput, NotFound, sound
from meterctl.core.results import Facts, Listing
from meterctl.core.sweep.lease import LEASE_MS
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def lock(**_: Any) -> None:
    """List or break the locks of sweeps."""


@command(app, "list")
def list_locks(wiring: Wiring) -> Listing:
    """List the locks, with holder and expiry. Changes nothing.

    \b
    Example:
      meterctl lock list
    """
    now = wiring.now
    leases = [lease._asdict() | {"expired": lease.is_over(now, LEASE_MS)} for lease in sound(wiring.store.locks.all())]
    return Listing("locks", "locks", leases)


@command(app, "break", writes=True, plans=False)
def break_lock(wiring: Wiring, name: Annotated[str, argument("NAME", "The lock, as listed.")]) -> Facts:
    """Take a lock from its holder. Needs --reason. Safe: locks only prevent duplicate work.

    Books nothing. The lock of a dead process expires by itself within a minute; break it if you cannot wait.

    \b
    Example:
      meterctl lock break sweep --reason "host was reinstalled"
    """
    if not wiring.options.reason:
        raise BadInput("breaking a lock needs a reason", hint="add --reason TEXT", code="reason_required")
    wiring.check_clock()
    held = {lease.name: lease for lease in sound(wiring.store.locks.all())}.get(name)
    if held is None:
        raise NotFound(f"there is no lock {name!r}", code="unknown_lock", hint="meterctl lock list")
    dry_run, author = wiring.options.dry_run, {"reason": wiring.options.reason, "actor": wiring.actor}
    broken = not dry_run and wiring.store.locks.release(name, held.holder)
    return Facts("lock", {**held._asdict(), "broken": broken, "dry_run": dry_run, **author})
