"""One call at a time in a thread of its own, while its caller does something else."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

Answer = TypeVar("Answer")


class Background:
    """A thread called ``name``, started with the first call. To be closed: that waits for what it is doing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._worker: Executor | None = None

    def call(self, function: Callable[..., Answer], *arguments: Any) -> Callable[[], Answer]:
        """Have it called; what is returned waits for its answer, or raises what it raised."""
        if self._worker is None:
            from concurrent.futures import ThreadPoolExecutor  # most get by without, and start sooner for it

            self._worker = ThreadPoolExecutor(1, self._name)
        return self._worker.submit(partial(function, *arguments)).result

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown()
