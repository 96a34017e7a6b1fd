"""``meterctl init``"""

from meterctl.commands.command import command, new_app
from meterctl.core.results import Listing
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def init(wiring: Wiring) -> Listing:
    """Create or complete the store. Books nothing.

    Creates missing tables or collections, indexes and validators, and lists each step.

    \b
    Example:
      meterctl init --store mongodb://localhost/meterctl
    """
    wiring.check_named()
    lines = wiring.store.init()
    about = {"store": wiring.store.describe(), "role": None, "reader_role": None, **wiring.store.roles()}
    return Listing("init", "steps", [{"step": line} for line in lines], about)
