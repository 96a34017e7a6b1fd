"""meterctl: a prepaid-credit ledger and weekly usage meter, on the command line and from Python.

The names for Python programs are loaded when they are first used: the command line needs none of them.
"""

TYPE_CHECKING = False  # checkers take it for true; importing typing's would load that module
if TYPE_CHECKING:
    from typing import Any

    from meterctl.api import AlertPage, Client, connect
    from meterctl.core.errors import MeterctlError
    from meterctl.core.results import Balance, LedgerPage, Meter, Receipt

__version__ = "0.2.0"

__all__ = [
    "AlertPage",
    "Balance",
    "Client",
    "LedgerPage",
    "Meter",
    "MeterctlError",
    "Receipt",
    "__version__",
    "connect",
]


def __getattr__(name: str) -> "Any":
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("meterctl.api"), name)
    raise AttributeError(f"module 'meterctl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
