"""Who takes part: the programs, how they are started, and how they are called in reports."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

from .machine import Machine
from .processes import Failure, Process, children, cpu_ns


@dataclasses.dataclass(frozen=True)
class Contender:
    """A server program with options that make it this contender."""

    name: str
    program: str
    arguments: tuple[str, ...] = ()
    # Of a program in Lua: which interpreter runs it.
    runtime: str = ""


HAWSER = Contender("hawser", "hawser_server")
FLOOR = Contender("floor", "floor_server")
BLOCKING_LIBTLS = Contender("blocking_libtls", "blocking_libtls_server")
BLOCKING_OPENSSL = Contender("blocking_openssl", "blocking_openssl_server")
ASIO = Contender("asio", "asio_server")
# Over plain TCP the two blocking programs are one and the same.
BLOCKING = Contender("blocking", "blocking_libtls_server")
NGINX = Contender("nginx", "nginx")

TCP_SERVERS = (HAWSER, FLOOR, ASIO, BLOCKING)
TLS_SERVERS = (HAWSER, FLOOR, ASIO, BLOCKING_LIBTLS, BLOCKING_OPENSSL)
CLIENTS = ("hawser", "floor", "asio", "blocking_libtls", "blocking_openssl", "curl")

# hawser with one part off.
PARTS = (
    HAWSER,
    Contender("no_multishot", "hawser_server", ("--no-multishot",)),
    Contender("no_gather", "hawser_server", ("--no-gather",)),
    Contender("no_recycler", "hawser_server_no_recycler"),
    Contender("any_stream", "hawser_server", ("--any-stream",)),
    Contender("own_buffer", "hawser_server", ("--own-buffer",)),
)

# The same work in Lua, beside hawser's C++ servers: that of everywhere else, and one whose writes end as those of Lua do.
LUA_SERVERS = (
    Contender("hawser_lua", "hawser_echo.lua", runtime="lua5.4"),
    Contender("hawser_luajit", "hawser_echo.lua", runtime="luajit"),
    Contender("hawser_cpp", "hawser_server"),
    Contender("hawser_cpp_flushing", "hawser_server", ("--no-gather",)),
    Contender("cqueues", "cqueues_echo.lua", runtime="lua5.4"),
    Contender("cqueues_luajit", "cqueues_echo.lua", runtime="luajit"),
    Contender("copas", "copas_echo.lua", runtime="lua5.4"),
    Contender("copas_luajit", "copas_echo.lua", runtime="luajit"),
)

LABELS = {
    "hawser": "hawser",
    "floor": "bare io_uring loop",
    "asio": "Asio",
    "blocking": "blocking threads",
    "blocking_libtls": "blocking libtls",
    "blocking_openssl": "blocking OpenSSL",
    "curl": "curl multi",
    "curl_no_capath": "curl multi, CAPATH off",
    "nginx": "nginx",
    "no_multishot": "one-shot receives",
    "no_gather": "a send for each write",
    "no_recycler": "frames from malloc",
    "any_stream": "through any_stream",
    "own_buffer": "reading into an own buffer",
    "hawser_lua": "hawser, Lua 5.4",
    "hawser_luajit": "hawser, LuaJIT",
    "hawser_cpp": "hawser, C++",
    "hawser_cpp_flushing": "hawser, C++, a send for each write",
    "cqueues": "cqueues, Lua 5.4",
    "cqueues_luajit": "cqueues, LuaJIT",
    "copas": "copas, Lua 5.4",
    "copas_luajit": "copas, LuaJIT",
}


def label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


@dataclasses.dataclass
class Suite:
    """What every workload needs to know."""

    machine: Machine
    programs: pathlib.Path
    certificates: pathlib.Path
    scratch: pathlib.Path
    source: pathlib.Path
    compiler: list[str]
    full: bool = False
    cycles: int | None = None
    # For contenders over a libtls that is not the system's.
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)

    def cycles_for(self, judged: bool) -> int:
        if self.cycles is not None:
            return self.cycles
        if judged:
            return 61 if self.full else 41
        return 41 if self.full else 12

    @property
    def slice_ms(self) -> int:
        return 80 if self.full else 50

    def program(self, name: str) -> pathlib.Path:
        path = self.programs / name
        if not path.exists():
            raise Failure(f"{name} is not built (no {path})")
        return path

    def command(self, program: str, runtime: str = "") -> list[str | os.PathLike[str]]:
        """How a program is started; `runtime` is the interpreter of one in Lua."""
        if not runtime:
            return [self.program(program)]
        found = shutil.which(runtime)
        if found is None:
            raise Failure(f"{runtime} is not installed")
        return [found, self.source / "bench" / "lua" / program]

    def environment_of(self, runtime: str) -> dict[str, str | None]:
        """With where a program in Lua finds our modules before all others."""
        if not runtime:
            return self.environment
        modules = self.programs.parent / "lua" / runtime
        places = [self.source / "bench" / "lua", self.source / "lua"]
        return {
            **self.environment,
            "LUA_PATH": ";".join(f"{place}/?.lua" for place in places) + ";;",
            "LUA_CPATH": f"{modules}/?.so;;",
        }


class Server:
    """A server that listens; `pid` is the process whose CPU time counts."""

    def __init__(self, process: Process, port: int, pid: int) -> None:
        self.process = process
        self.port = port
        self.pid = pid

    def cpu_ns(self) -> int:
        return cpu_ns(self.pid)

    def running(self) -> bool:
        return self.process.running()

    def stop(self) -> None:
        self.process.stop(2)


def start_server(
    suite: Suite,
    contender: Contender,
    mode: str,
    *,
    cpus: Sequence[int] | None = None,
    environment: Mapping[str, str | None] | None = None,
) -> Server:
    placed = {"cpus": cpus or [suite.machine.measured_cpu], "priority": suite.machine.server_priority}
    placed["environment"] = {**suite.environment_of(contender.runtime), **(environment or {})}
    if contender.program == "nginx":
        return start_nginx(suite, **placed)
    command = [*suite.command(contender.program, contender.runtime), mode, *contender.arguments]
    if mode != "tcp-echo":
        command += ["--cert", suite.certificates / "server.pem", "--key", suite.certificates / "server.key"]
    process = Process(command, name=contender.program, **placed)
    try:
        line = process.read_line(10)
        word, _, port = line.rpartition(" ")
        if word != "listening on" or not port.isdigit():
            raise Failure(f"{contender.program} said `{line}` and not where it listens")
    except Failure:
        process.stop(0.1)
        raise
    return Server(process, int(port), process.pid)


NGINX_CONFIGURATION = """\
daemon off;
master_process on;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {directory}/pid;
error_log stderr error;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 300;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    open_file_cache max=16 inactive=600s;
    open_file_cache_valid 600s;
    ssl_certificate {certificates}/server.pem;
    ssl_certificate_key {certificates}/server.key;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_session_tickets off;
    server {{
        listen 0.0.0.0:{port} ssl backlog=4096;
        server_name localhost;
        root {directory}/files;
        location = / {{ return 200 "Hello world\\n"; }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_nginx(suite: Suite, **placed: object) -> Server:
    """nginx with one worker: "/" says hello, /1k and /100k are files."""
    port = free_port()
    directory = suite.scratch / f"nginx-{port}"
    files = directory / "files"
    files.mkdir(parents=True)
    (files / "1k").write_bytes(b"x" * 1024)
    (files / "100k").write_bytes(b"x" * 102_400)
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(
        port=port,
        directory=directory,
        certificates=suite.certificates,
        descriptors=suite.machine.descriptors,
        # The worker must be able to read our files, which nobody else can.
        user="user root;" if os.geteuid() == 0 else "",
    ))
    process = Process(["nginx", "-p", directory, "-e", "stderr", "-c", configuration], name="nginx", **placed)  # type: ignore[arg-type]
    try:
        return Server(process, port, await_worker(process, port, 10))
    except Failure:
        process.stop(1)
        raise


def await_worker(process: Process, port: int, seconds: float) -> int:
    """Waits until nginx accepts connections and gives the pid of its worker."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.running():
            raise Failure(process.describe("ended"))
        workers = children(process.pid)
        with socket.socket() as one:
            one.settimeout(1)
            if workers and one.connect_ex(("127.0.0.1", port)) == 0:
                return workers[0]
        time.sleep(0.02)
    raise Failure(process.describe(f"does not listen after {seconds:.0f} s"))


@contextlib.contextmanager
def stopping(*things: object) -> Iterator[None]:
    """Stops what was started for a workload, however it ends."""
    try:
        yield
    finally:
        for thing in things:
            for one in list(thing.values()) if isinstance(thing, dict) else [thing]:
                one.stop()  # type: ignore[attr-defined]
