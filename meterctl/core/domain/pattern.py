"""Regular expressions that are compiled when they are first used.

To compile one takes some 50 microseconds, and a command uses a few of the thirty that its modules hold.
"""

import re
from typing import Any, AnyStr, cast


def lazy_pattern(expression: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return the regular expression ``expression``; it is compiled with its first use."""
    return cast("re.Pattern[AnyStr]", _Pattern(expression, flags))


class _Pattern:
    """Stands for a compiled pattern. Each of its methods is looked up once, so later uses cost nothing more."""

    def __init__(self, expression: Any, flags: int) -> None:
        self._source = (expression, flags)

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)
        return value
