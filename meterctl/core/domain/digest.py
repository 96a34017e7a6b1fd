"""SHA-256, from the implementation that suits the run.

hashlib loads OpenSSL, which takes a fifth of the start of a debit that hashes one entry. Python has an implementation
of its own, the one that `random` uses: it is there at once, and takes four times as long for each entry.
"""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any


def _built_in() -> Callable[[bytes], Any]:
    for name in ("_sha2", "_sha256"):  # since Python 3.12, and before
        with suppress(ImportError):  # a Python that was built without
            function: Callable[[bytes], Any] = import_module(name).sha256
            return function
    from hashlib import sha256

    return sha256


#: Returns the SHA-256 of bytes, as hashlib's does. Call it by ``digest.sha256``, because it changes.
sha256 = _built_in()


def hash_many() -> None:
    """Use the implementation that is fastest for many entries from now on."""
    global sha256  # noqa: PLW0603 - one program makes either few hashes or many
    import hashlib

    sha256 = hashlib.sha256
