"""End a process without the interpreter's own shutdown."""

import os


def leave(code: int) -> None:
    """End this process at once. Call it after all files are closed and all output is flushed.

    It skips the interpreter's last walk over every object, and a wait of half a second for the monitor threads of the
    MongoDB driver.
    """
    os._exit(code)
