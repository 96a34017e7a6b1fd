"""A network that loses, delays and cuts: a TCP proxy between clients and one mongod, on loopback.

It knows where a message of MongoDB's wire protocol ends, so it loses whole requests and whole answers, not only bytes.
What it does is drawn from a seed; which message meets which fault depends on the threads all the same.
"""

import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

#: A message begins with its length.
_LENGTH = struct.Struct("<i")

#: Seconds between two looks at the end of the test.
_TICK = 0.05


class Weather(NamedTuple):
    """How likely each fault is, for each message; and how long delays and partitions take, in seconds."""

    lose_request: float = 0.01
    lose_answer: float = 0.02
    delay: float = 0.05
    cut_before: float = 0.005
    cut_after: float = 0.015
    longest_delay: float = 0.3
    partition_every: float = 3.0
    partition_lasts: float = 0.8


CALM = Weather(0, 0, 0, 0, 0, partition_every=1e9)


class FlakyProxy:
    """While entered, ``port`` leads to ``target``, in this ``weather``. ``faults`` counts the faults by kind."""

    def __init__(self, target: tuple[str, int], weather: Weather, seed: int) -> None:
        self.faults: Counter[str] = Counter()
        self.weather = weather
        self._target = target
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._parted_until = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        for work in (self._accept, self._part_now_and_then):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()

    def calm(self) -> None:
        """Let everything through from now on."""
        self.weather = CALM
        self._parted_until = 0.0

    # -- faults

    def _happens(self, kind: str, chance: float) -> bool:
        with self._lock:
            happens = self._random.random() < chance
            self.faults[kind] += happens
        return happens

    def _part_now_and_then(self) -> None:
        while not self._over.wait(self.weather.partition_every):
            self.faults["partition"] += 1
            self._parted_until = time.monotonic() + self.weather.partition_lasts

    def _wait_for_weather(self) -> None:
        """Hold a message back while the network is parted, or for a delay: it arrives late, perhaps out of time."""
        while not self._over.is_set() and time.monotonic() < self._parted_until:
            time.sleep(_TICK)
        if self._happens("delay", self.weather.delay):
            with self._lock:
                seconds = self._random.uniform(0, self.weather.longest_delay)
            self._over.wait(seconds)

    # -- passing on

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with client, server:
            ends = {client: server, server: client}
            try:
                while not self._over.is_set():
                    for end in select.select([*ends], [], [], _TICK)[0]:
                        if not self._pass_on(end, ends[end], is_request=end is client):
                            return
            except OSError:
                return  # one of them hung up

    def _pass_on(self, source: socket.socket, target: socket.socket, *, is_request: bool) -> bool:
        """Pass a message on, or not; False ends the connection."""
        message = _message(source)
        if not message:
            return False
        self._wait_for_weather()
        weather = self.weather
        if is_request:
            if self._happens("cut before", weather.cut_before):
                return False
            if self._happens("lost request", weather.lose_request):
                return True
            target.sendall(message)
            return not self._happens("cut after", weather.cut_after)
        if not self._happens("lost answer", weather.lose_answer):
            target.sendall(message)
        return True


def _message(source: socket.socket) -> bytes:
    """The next whole message; nothing at the end."""
    head = _read(source, _LENGTH.size)
    if not head:
        return b""
    (length,) = _LENGTH.unpack(head)
    rest = _read(source, length - _LENGTH.size)
    return head + rest if rest else b""


def _read(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            return b""
        data += part
    return data
