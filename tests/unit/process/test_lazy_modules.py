"""Modules that are loaded by their first use: nobody can tell the difference."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    "code",
    [
        "from difflib import get_close_matches as f; a = 'difflib' not in sys.modules or f('ab', ['abc']) != ['abc']",
        "from importlib.metadata import version; a = version('typer') != __import__('typer').__version__",
        "import importlib.metadata; a = importlib.metadata.version('typer') == ''",
        "from importlib.metadata import version, PackageNotFoundError as e\ntry: version('no'); a = 1\nexcept e: a = 0",
        "from urllib.parse import quote_from_bytes; a = quote_from_bytes(b'a b') != 'a%20b'",
        "import urllib.parse; a = urllib.parse.urlsplit('http://a/b').path != '/b'",
        "from pathlib import Path; a = Path('/a b').as_uri() != 'file:///a%20b'",
        "import platform, os; a = platform.system() != os.uname().sysname; a |= not platform.machine()",
        "import pathlib; a = pathlib.PureWindowsPath('C:/a').drive != 'C:'",
        "import hashlib; a = hashlib.sha256(b'').hexdigest()[:4] != 'e3b0'",
        "import traceback; a = 'ZeroDivisionError' not in traceback.format_exception_only(ZeroDivisionError())[0]",
    ],
)
def test_a_name_of_a_lazy_module_is_the_name(code: str) -> None:
    run(f"{code}\nsys.exit(a)")


def test_a_name_that_stands_in_for_another_can_be_used_as_that_one() -> None:
    run(
        """
from asyncio import Future, wait_for, events, BufferedProtocol, AbstractEventLoop
early = 'asyncio.base_events' in sys.modules
class Mine(AbstractEventLoop): pass
import asyncio
assert not early and 'asyncio.base_events' in sys.modules
assert issubclass(Mine, asyncio.AbstractEventLoop) and issubclass(BufferedProtocol, asyncio.BaseProtocol)
assert isinstance(asyncio.Future(loop=asyncio.new_event_loop()), Future)
assert Future[int] == asyncio.Future[int] and Future | None == None | Future == asyncio.Future | None
assert events.get_event_loop_policy() is asyncio.get_event_loop_policy()
async def nothing(): return 5
async def wait(): return await wait_for(nothing(), 5)
assert asyncio.run(wait()) == 5
"""
    )


def test_the_asynchronous_half_of_pymongo_is_there_for_who_uses_it() -> None:
    run(
        """
import pymongo
assert not {'asyncio.base_events', 'pymongo.asynchronous.collection', 'email.message'} & set(sys.modules)
client = pymongo.AsyncMongoClient('mongodb://127.0.0.1:1', connect=False)
assert type(client).__module__ == 'pymongo.asynchronous.mongo_client'
from pymongo.asynchronous.mongo_client import AsyncMongoClient
assert AsyncMongoClient is type(client) and isinstance(client, pymongo.AsyncMongoClient)
import pymongo.asynchronous.mongo_client
assert pymongo.asynchronous.mongo_client.AsyncMongoClient is AsyncMongoClient
"""
    )


def test_a_library_that_changes_is_loaded_as_before(tmp_path: Path) -> None:
    """Where it no longer has a name, or a module, the error is that of an import without a stand-in."""
    run(
        f"""
sys.path.insert(0, {str(tmp_path)!r})
from meterctl.process import lazy_modules
lazy_modules._NAMES = {{'no_such_module': ('name',), 'changed': ('gone', 'kept')}}
open({str(tmp_path / "changed.py")!r}, 'w').write('class kept: pass')
lazy_modules.load_lazily()
def fails(code, error):
    try:
        exec(code, globals())
    except error:
        return True
from changed import gone, kept
assert fails('from no_such_module import name', ModuleNotFoundError)
assert fails('gone()', AttributeError) and fails('from changed import other', ImportError)
class Derived(kept): pass
import changed
assert Derived.__mro__[1] is changed.kept
"""
    )
