"""Process entry: the steps before any import, and the exit code."""

import gc
import os
import sys


def run() -> None:
    """Run the command line of this process and leave with its exit code."""
    # A command lives for some tens of milliseconds: collecting garbage would be a third of that. Long runs
    # switch the collector on again.
    gc.disable()
    try:
        _open_standard_streams()
        if sys.argv[1:] == ["--version"] and _version_is_shown():
            return
        from meterctl.cli import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # too early, or too late, for the command line to report progress
        sys.stderr.write("error [interrupted]: interrupted\n")
        code = 130
    # Stores and files are closed by now; the rest ends with the process. Leaving at once saves a last walk over every
    # object, and up to half a second of waiting for the MongoDB driver's monitor threads.
    try:
        sys.stdout.flush()  # rows that were printed before a failure
        sys.stderr.flush()
    finally:
        os._exit(code)


def _version_is_shown() -> bool:
    """Show the version without loading the program. If that fails, the program tries again and reports the error."""
    from meterctl import __version__

    try:
        sys.stdout.write(f"meterctl {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _open_standard_streams() -> None:
    """Open /dev/null for closed standard streams; otherwise the next file opened would get descriptor 0, 1 or 2."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


if __name__ == "__main__":
    run()
