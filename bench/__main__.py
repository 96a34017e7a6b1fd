"""``python -m bench``: start a mongod, measure on both stores, print one table.

python -m bench --quick                  minutes: small sizes, to see that all is well
python -m bench                          the full sizes; more than an hour
python -m bench --report                 every target, kept or not, in some ten minutes
python -m bench --only sweep few         some benchmarks only
python -m bench --save figures.json      keep the figures; a later run adds its own to them
python -m bench --table figures.json     print what is kept
"""

import argparse
import os
import platform
import sys
from pathlib import Path

from bench import targets
from bench.benches import BENCHES, QUICK, Sizes
from bench.figures import Figure, load, save, table
from bench.places import places
from bench.targets import REPORT, TARGETS
from meterctl.process.long_run import prepare_long_run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What meterctl costs, and what it could.")
    names = list(dict.fromkeys([*(bench.__name__ for bench in BENCHES), *(bench.__name__ for bench, _ in TARGETS)]))
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--store", choices=["sqlite", "mongod", "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--report", action="store_true", help="measure every target, three times, in ten minutes")
    for name, size in Sizes._field_defaults.items():
        kind = f"N{' ...' if isinstance(size, tuple) else ''}"
        nargs = "+" if isinstance(size, tuple) else None
        parser.add_argument(f"--{name}", type=int, nargs=nargs, metavar=kind, help=f"default {size}")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the figures there, beside those of other runs")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print what is kept there, and measure nothing")
    return parser.parse_args()


def _sizes(arguments: argparse.Namespace) -> Sizes:
    given = {name: getattr(arguments, name) for name in Sizes._fields if getattr(arguments, name) is not None}
    given = {name: tuple(size) if isinstance(size, list) else size for name, size in given.items()}
    return (QUICK if arguments.quick else REPORT if arguments.report else Sizes())._replace(**given)


def _report(arguments: argparse.Namespace, sizes: Sizes) -> list[Figure]:
    with places(["sqlite", "mongod"]) as there:
        return list(targets.measure(there, sizes, arguments.only or ()))


def _measure(arguments: argparse.Namespace, sizes: Sizes) -> list[Figure]:
    found: list[Figure] = []
    kinds = ["sqlite", "mongod"] if arguments.store == "both" else [arguments.store]
    with places(kinds) as there:
        for bench in BENCHES:
            for place in there if arguments.only is None or bench.__name__ in arguments.only else []:
                sys.stderr.write(f"{bench.__name__} on {place.kind}\n")
                load = os.getloadavg()[0]
                fresh = [figure._replace(load=load) for figure in bench(place, sizes)]
                found += fresh
                if arguments.save is not None:
                    save(arguments.save, fresh)
    return found


def main() -> None:
    arguments = _arguments()
    if arguments.table is not None:
        print(table(load(arguments.table)))
        return
    prepare_long_run()  # as the commands do that run for long
    figures = (_report if arguments.report else _measure)(arguments, _sizes(arguments))
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}\n")
    print(table(figures))


if __name__ == "__main__":
    main()
