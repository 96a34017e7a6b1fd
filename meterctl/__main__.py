"""Process entry: what must happen before anything is imported, and the exit code."""

import gc
import os
import sys


def run() -> None:
    """Run the command line of this process and leave with its exit code."""
    # A command lives for some tens of milliseconds: collecting garbage would be a third of that. Long runs
    # switch the collector on again.
    gc.disable()
    try:
        _open_what_is_closed()
        if sys.argv[1:] == ["--version"] and _version_is_shown():
            return
        from meterctl.process.interrupts import end_by_sigterm
        from meterctl.process.lazy_modules import load_lazily

        end_by_sigterm()
        load_lazily()
        from meterctl.cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # too early, or too late, for the command line to tell what was done
        sys.stderr.write("error [interrupted]: interrupted\n")
        code = 130
    try:
        sys.stdout.flush()  # rows that were printed before a failure
        sys.stderr.flush()
    finally:
        from meterctl.process.leaving import leave

        leave(code)


def _version_is_shown() -> bool:
    """Show the version without loading the program. Where that fails, the program tries too, and says what is wrong."""
    from meterctl import __version__

    try:
        sys.stdout.write(f"meterctl {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _open_what_is_closed() -> None:
    """Have something behind each standard stream, for a process that was started without: an end of input, and a place
    for what nobody wants to see. Else a file that is opened later, such as the store's, would take the stream's number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


if __name__ == "__main__":
    run()
