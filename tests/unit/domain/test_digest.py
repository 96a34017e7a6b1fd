"""Two implementations of SHA-256, one answer."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from meterctl.core.domain import digest

DATA = [b"", b"abc", bytes(range(256)) * 9, "é\U0001f600".encode()]


@pytest.fixture(autouse=True)
def _same_afterwards() -> Iterator[None]:
    before = digest.sha256
    yield
    digest.sha256 = before


@pytest.mark.parametrize("data", DATA)
def test_both_give_what_hashlib_gives(data: bytes) -> None:
    digest.sha256 = digest._built_in()
    few = digest.sha256(data).hexdigest()
    digest.hash_many()
    assert digest.sha256 is hashlib.sha256
    assert [few, digest.sha256(data).hexdigest()] == [hashlib.sha256(data).hexdigest()] * 2


def test_a_python_without_its_own_uses_hashlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, name, None)
    assert digest._built_in() is hashlib.sha256


def test_a_hash_loads_no_openssl() -> None:
    code = "import sys; from meterctl.core.domain.canonical import chain_hash; chain_hash('', b'x'); "
    code += "sys.exit('_hashlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
