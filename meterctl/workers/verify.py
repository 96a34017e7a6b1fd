"""A check of all orgs in several processes, each of which checks some orgs at a time."""

from collections.abc import Iterable, Iterator

from meterctl.core.verify import Checked, Part, check_part
from meterctl.wiring import Wiring
from meterctl.workers.pool import Workers


class VerifyWorkers:
    """``count`` processes that check parts of a store."""

    def __init__(self, count: int, wiring: Wiring) -> None:
        # A check leaves nothing half done, and one long journal may take minutes.
        self._workers = Workers(count, _check, wiring, breaks_off=True)

    def check(self, parts: Iterable[Part]) -> Iterator[Checked]:
        return self._workers.answers(parts)


def _check(wiring: Wiring, part: Part) -> Checked:
    return check_part(wiring.store, part)
