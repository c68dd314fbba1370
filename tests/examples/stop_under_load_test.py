#!/usr/bin/env python3
"""SIGINT for examples/https_server in the middle of a thousand TLS connections, each of them up to something else."""

import collections
import contextlib
import os
import pathlib
import re
import resource
import selectors
import signal
import socket
import ssl
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import PATIENCE, Certificates, program, start_server  # noqa: E402

GRACE = 6
# What each connection is doing when the signal comes: waits for the next request, has sent the half of one, asks and is
# answered all the time, is in the middle of a large answer, the same but reads no more, reads an answer that does not
# end in time, has not begun its handshake, is in the middle of it.
LOAD = {"idle": 395, "half a request": 200, "busy": 260, "slow": 60, "stuck": 40, "endless": 5, "silent": 20, "half a handshake": 20}
# No kernel keeps the largest for a client that does not read it.
SIZES = {"page": 20_000, "large": 2_000_000, "largest": 10_000_000}
ENDLESS = 1 << 40
PACE = 0.01  # seconds between two reads of one that is endless
SMALL_BUFFER = 16 << 10
REQUEST = "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of one
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Client:
    """One connection. `live` is a generator that yields the event of its socket that it waits for, or None for a wake()."""

    def __init__(self, load, kind):
        self.load, self.kind = load, kind
        self.ready = False  # doing what its kind does
        self.answers = 0  # complete ones
        self.partial = 0  # bytes of one that is not complete
        self.end = None  # "close_notify"; "fin": without it; "reset"
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self.socket.setblocking(False)
        self.steps = self.live()

    def live(self):
        try:
            self.socket.connect_ex(("127.0.0.1", self.load.port))
            yield WRITE
            yield from self.talk()
        except ssl.SSLEOFError:
            self.end = "fin"
        except (ConnectionResetError, BrokenPipeError):
            self.end = "reset"
        self.socket.close()

    def talk(self):
        if self.kind in ("silent", "half a handshake"):
            if self.kind != "silent":
                self.socket.send(CLIENT_HELLO)
            self.ready = True
            yield READ
            self.end = "bytes" if self.socket.recv(1000) else "fin"
            return
        self.socket = self.load.context.wrap_socket(self.socket, server_hostname="localhost", do_handshake_on_connect=False,
                                                    suppress_ragged_eofs=False)
        yield from self.when(self.socket.do_handshake)
        yield from self.get("page")
        if self.kind == "endless":
            yield from self.never_enough()
        if self.kind in ("slow", "stuck"):
            yield from self.get("large" if self.kind == "slow" else "largest")
        self.ready = True
        while self.kind == "busy" and not self.end:
            yield from self.get("page")
        while not self.end:
            yield from self.read(1000)

    def when(self, call):
        """What a call gives that would block."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE

    def read(self, size):
        data = yield from self.when(lambda: self.socket.recv(size))
        if not data:
            self.end = "close_notify"  # an end without it is an SSLEOFError
        return data

    def never_enough(self):
        yield from self.when(lambda: self.socket.send(REQUEST.format("endless").encode()))
        while not self.end:
            self.partial += len((yield from self.read(65536)))
            self.ready = True
            yield None

    def get(self, name):
        yield from self.when(lambda: self.socket.send(REQUEST.format(name).encode()))
        got, total = bytearray(), None
        while total is None or len(got) < total:
            data = yield from self.read(65536)
            if self.end:
                return
            got += data
            self.partial = len(got)
            if total is None and (head := got.find(b"\r\n\r\n") + 4) > 3:
                total = head + int(re.search(rb"Content-Length: (\d+)", got[:head]).group(1))
            if name != "page" and not self.ready and len(got) > 50_000:
                self.ready = True
                yield None
        assert got[head:] == self.load.contents[name], "another body"
        self.answers += 1
        self.partial = 0


class Load:
    """The clients, driven by one loop."""

    def __init__(self, port, context, contents):
        self.port, self.context, self.contents = port, context, contents
        self.selector = selectors.DefaultSelector()
        self.clients = []
        self.paced, self.next_pace = [], 0

    def add(self, *kinds, of=LOAD):
        for client in [Client(self, kind) for kind in kinds for _ in range(of[kind])]:
            self.clients.append(client)
            self.step(client)
        self.paced = self.of("endless")

    def step(self, client):
        fd, known = client.socket.fileno(), self.selector.get_map()
        event = next(client.steps, None)
        if fd in known and (event != known[fd].events):
            self.selector.unregister(fd)
        if event is not None and fd not in known:
            self.selector.register(fd, event, client)

    def run_until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}: {self.summary()}"
            for key, _ in self.selector.select(PACE):
                self.step(key.data)
            if time.monotonic() > self.next_pace:
                self.next_pace = time.monotonic() + PACE
                self.wake(self.paced)

    def wake(self, clients):
        """Goes on with those that wait for nothing of their socket."""
        for client in clients:
            if not client.end and client.socket.fileno() not in self.selector.get_map():
                self.step(client)

    def of(self, *kinds):
        return [each for each in self.clients if each.kind in kinds]

    def others(self, *kinds):
        return [each for each in self.clients if each.kind not in kinds]

    def summary(self):
        return dict(collections.Counter((each.kind, each.ready, each.answers, each.end) for each in self.clients))

    def close(self):
        self.selector.close()
        for client in self.clients:
            client.socket.close()


def all_ready(clients):
    return lambda: all(each.ready for each in clients)


def all_ended(clients):
    return lambda: all(each.end for each in clients)


def open_by(process, kind):
    """How many descriptors of a kind ("socket:", or the beginning of a path) a process has; none when it is gone."""
    count, directory = 0, f"/proc/{process.pid}/fd"
    with contextlib.suppress(FileNotFoundError, PermissionError):
        for fd in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(f"{directory}/{fd}").startswith(kind)
    return count


class StopUnderLoad(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        cls.certs = Certificates()
        cls.addClassCleanup(cls.certs.scratch.cleanup)
        cls.site = cls.certs.directory / "site"
        cls.site.mkdir()
        cls.contents = {name: os.urandom(size) for name, size in SIZES.items()}
        for name, content in cls.contents.items():
            (cls.site / name).write_bytes(content)
        with open(cls.site / "endless", "wb") as sparse:
            sparse.truncate(ENDLESS)

    def start(self, *arguments):
        server, port = start_server([program("https_server"), str(self.site), "--port", "0", "--address", "127.0.0.1", "--cert",
                                     self.certs["server.pem"], "--key", self.certs["server.key"], *arguments])
        self.addCleanup(server.communicate)
        self.addCleanup(server.kill)
        load = Load(port, ssl.create_default_context(cafile=self.certs["ca.pem"]), self.contents)
        self.addCleanup(load.close)
        return server, load

    def stop_under_load(self, threads):
        server, load = self.start("--grace", str(GRACE), "--threads", str(threads))
        load.add("idle", "half a request", "busy", "slow", "stuck", "endless")
        load.run_until(all_ready(load.clients), "all have connected")
        # Last, because these have ten seconds; some of them the server has not accepted yet.
        for each in load.of("half a request"):
            each.socket.send(REQUEST.format("page").encode()[:20])
        load.add("silent", "half a handshake")
        self.assertEqual(len(load.clients), 1000)
        self.assertFalse([each.kind for each in load.clients if each.end])
        answered = sum(each.answers for each in load.of("busy"))
        load.run_until(lambda: sum(each.answers for each in load.of("busy")) > answered + 200, "the busy ones are busy")

        server.send_signal(signal.SIGINT)
        signalled = time.monotonic()
        # One half of the slow ones goes on at once, the other when everybody else is gone, which is within the grace too.
        slow, late = load.of("slow")[::2], load.of("slow")[1::2]
        load.wake(slow)
        load.run_until(all_ended(load.others("slow", "stuck", "endless")), "the idle ones have left")
        load.wake(late)
        load.run_until(all_ended(load.others("stuck", "endless")), "all have ended that can")
        # In the server too, which waits for the others.
        left = len(load.of("stuck", "endless"))
        load.run_until(lambda: open_by(server, "socket:") <= left, "their connections are closed")
        load.run_until(lambda: open_by(server, f"{self.site}/") <= left, "their files are closed")
        self.assertIsNone(server.poll())
        self.assertRaises(OSError, socket.create_connection, ("127.0.0.1", load.port))
        finished = time.monotonic() - signalled
        load.run_until(lambda: server.poll() is not None, "the server has ended")
        took = time.monotonic() - signalled
        load.wake(load.of("stuck"))
        load.run_until(all_ended(load.clients), "those that were cut have seen it")
        _, said = server.communicate()

        self.assertEqual((server.returncode, said), (0, ""))
        self.assertGreaterEqual(took, GRACE)  # because of the stuck ones
        self.assertLess(took, 2 * GRACE)
        print(f"\n{threads} threads, a grace of {GRACE} s: all that can have ended after {finished:.2f} s, the server after {took:.2f} s",
              file=sys.stderr)
        for kind, answers, ends in (
            ("idle", {1}, {"close_notify"}), ("half a request", {1}, {"close_notify"}), ("slow", {2}, {"close_notify"}),
            ("stuck", {1}, {"fin", "reset"}), ("endless", {1}, {"fin", "reset"}), ("silent", {0}, {"fin", "reset"}), ("half a handshake", {0}, {"fin", "reset"}),
        ):
            with self.subTest(kind):
                self.assertLessEqual({each.answers for each in load.of(kind)}, answers)
                self.assertLessEqual({each.end for each in load.of(kind)}, ends)
        # An answer is complete, or it has not begun, or it ends without a close_notify.
        for each in load.clients:
            self.assertFalse(each.partial and each.end == "close_notify", each.kind)
        for each in load.of("stuck", "endless"):
            self.assertGreater(each.partial, 0)
        for each in load.of("busy"):
            self.assertEqual((each.partial, each.end), (0, "close_notify"))
            self.assertGreater(each.answers, 0)

    def test_one_thread(self):
        self.stop_under_load(1)

    def test_two_threads(self):
        self.stop_under_load(2)

    def test_a_second_signal_kills(self):
        server, load = self.start("--grace", "3600")
        load.add("idle", "stuck", of={"idle": 5, "stuck": 5})
        load.run_until(all_ready(load.clients), "all have connected")
        server.send_signal(signal.SIGINT)
        load.run_until(all_ended(load.of("idle")), "the first signal is seen")
        self.assertIsNone(server.poll())
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(PATIENCE), -signal.SIGINT)


if __name__ == "__main__":
    unittest.main()
