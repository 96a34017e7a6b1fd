"""Process entry: what must happen before anything is imported, and the exit code."""

import gc
import os
import sys


def run() -> None:
    """Run the command line of this process and leave with its exit code."""
    # A command lives for some tens of milliseconds: collecting garbage would be a third of that. Long runs
    # switch the collector on again.
    gc.disable()
    if sys.argv[1:] == ["--version"]:
        from meterctl import __version__

        sys.stdout.write(f"meterctl {__version__}\n")
        return
    from meterctl.cli import main

    code = main(sys.argv[1:])
    # What had to be closed has been by now, and what is left goes with the process: that spares a last walk over every
    # object, and half a second of waiting for the MongoDB driver's monitors, which look up twice a second.
    try:
        sys.stdout.flush()  # rows that were printed before a failure
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    run()
