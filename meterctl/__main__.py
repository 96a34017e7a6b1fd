"""Start the process: prepare it before anything is imported, and leave with the exit code."""

import gc
import os
import sys


def run() -> None:
    """Run the command line of this process and leave with its exit code."""
    # A command lives for some tens of milliseconds: collecting garbage would be a third of that. Long runs
    # switch the collector on again.
    gc.disable()
    try:
        _open_closed_streams()
        if sys.argv[1:] == ["--version"] and _version_is_shown():
            return
        from meterctl.process.interrupts import end_by_sigterm
        from meterctl.process.lazy_modules import load_lazily

        end_by_sigterm()
        load_lazily()
        from meterctl.cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the command line, which reports interrupts itself
        sys.stderr.write("error [interrupted]: interrupted\n")
        code = 130
    try:
        sys.stdout.flush()  # rows that were printed before a failure
        sys.stderr.flush()
    finally:
        from meterctl.process.leaving import leave

        leave(code)


def _version_is_shown() -> bool:
    """Show the version without loading the program; return False if that fails. The program then reports the error."""
    from meterctl import __version__

    try:
        sys.stdout.write(f"meterctl {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _open_closed_streams() -> None:
    """Open /dev/null for closed standard streams; otherwise the next file opened would get descriptor 0, 1 or 2."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


if __name__ == "__main__":
    run()
