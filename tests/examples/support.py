"""What the tests of the example programs share: certificates, scripted servers, and running a program."""

import os
import pathlib
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
# Where the programs are: given by Meson, or the build of scripts/test.
EXAMPLES = pathlib.Path(os.environ.get("HAWSER_EXAMPLES", SOURCE / "build" / "test" / "examples"))
PATIENCE = 60


def program(name):
    return str(EXAMPLES / name)


class Certificates:
    """Those of scripts/make-certs, in a directory that goes with the object."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="hawser-examples-")
        self.directory = pathlib.Path(self.scratch.name)
        subprocess.run([SOURCE / "scripts" / "make-certs", self.directory], check=True)

    def __getitem__(self, name):
        return str(self.directory / name)

    def context(self, name="server", version=None):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self[f"{name}.pem"], self[f"{name}.key"])
        if version:
            made.minimum_version = made.maximum_version = version
        return made


def reset(sock):
    """Ends a connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Server:
    """A server on a free port that runs `script(connection)` for each client, after a TLS handshake if there is a context."""

    def __init__(self, script, context=None):
        self.script, self.context = script, context
        self.accepted = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            connection.settimeout(PATIENCE)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.script(connection)
        except (OSError, EOFError):
            pass
        finally:
            connection.close()  # of a TLS connection: without close_notify


def read_head(connection):
    """A request's head; EOFError at the end of the stream."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise EOFError
        head += byte
    return head


def answer_once(text, notify=True):
    """A script: one request, one answer, the end."""

    def script(connection):
        read_head(connection)
        connection.sendall(text)
        if notify and isinstance(connection, ssl.SSLSocket):
            connection.unwrap()

    return script


def start_server(arguments, **more):
    """Starts a server program; gives it and its port once it listens."""
    started = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    lines = []
    for line in started.stdout:
        lines.append(line)
        if line.startswith("listening on "):
            started.lines = lines
            return started, int(line.rsplit(":", 1)[1])
    raise AssertionError(f"the server did not start: {lines} {started.stderr.read()}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.01)
