"""Modules that are loaded by their first use: nobody can tell the difference."""

import subprocess
import sys

import pytest

BEGIN = "import sys; from meterctl.process.lazy_modules import load_lazily; load_lazily()\n"


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", BEGIN + code], check=True, timeout=60)


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess, subprocess as again; sys.exit('selectors' in sys.modules or again is not subprocess)",
        "import subprocess; subprocess.run(['true'], check=True); sys.exit('selectors' not in sys.modules)",
        "from ipaddress import ip_address; sys.exit(not ip_address('::1').is_loopback)",
        "import textwrap; sys.exit(textwrap.fill('a b', 1) != 'a\\nb')",
        "import bz2; sys.exit(bz2.decompress(bz2.compress(b'x')) != b'x')",
        "import textwrap; sys.exit(hasattr(textwrap, 'no_such_name') or not hasattr(textwrap, 'dedent'))",
        "from textwrap import *; sys.exit(dedent(' a') != 'a')",
        "import locale; locale.setlocale(locale.LC_ALL, 'C')",
        "import pickle, ipaddress; a = ipaddress.ip_address('::1'); sys.exit(pickle.loads(pickle.dumps(a)) != a)",
    ],
)
def test_a_lazy_module_is_the_module(code: str) -> None:
    run(code)


def test_what_is_loaded_stays() -> None:
    run("import textwrap; load_lazily(); sys.exit(sys.modules['textwrap'] is not textwrap)")
    subprocess.run(
        [sys.executable, "-c", f"import textwrap; {BEGIN}sys.exit(sys.modules['textwrap'] is not textwrap)"],
        check=True,
        timeout=60,
    )


def test_threads_that_use_it_first_at_once_all_see_the_whole() -> None:
    run(
        """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
start = Barrier(16)
def use(_):
    import subprocess
    start.wait()
    return subprocess.run is not None and subprocess.PIPE == -1
with ThreadPoolExecutor(16) as pool:
    sys.exit(not all(pool.map(use, range(16))))
"""
    )
