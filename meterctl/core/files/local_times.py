"""Convert the local times of an input file to instants."""

from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo, available_timezones

from meterctl.core.domain.file_times import resolve_times
from meterctl.core.errors import BadInput, did_you_mean
from meterctl.core.files.operation_lines import Line
from meterctl.core.model import Instant


def time_zone(name: str) -> ZoneInfo:
    """Return the zone called ``name`` in the IANA database. Raises `BadInput`."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # unknown; not a name; a directory of zones
        near = did_you_mean(name, available_timezones())
        hint = "use a name such as Europe/Berlin, America/New_York or UTC"
        raise BadInput(f"there is no time zone {name!r}{near}", hint=hint, code="unknown_timezone") from None


def with_instants(lines: Iterable[Line], zone: ZoneInfo | None, at: Instant | None) -> Iterator[Line]:
    """Yield each line with its times as instants, and with ``at`` if it has no time.

    An unusable time turns the line into the problem.
    """
    for line in lines:
        content = line.content
        try:
            if not isinstance(content, BadInput):
                resolve_times(content, zone)
                content["at"] = content.get("at") or at
            yield line
        except BadInput as problem:
            yield Line(line.number, problem)
