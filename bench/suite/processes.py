"""Child processes: pinned, in real time where that is allowed, read line by line with a limit, and never left behind."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import pathlib
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence


class Failure(Exception):
    """What a contender, or a tool, did wrong; the message is for the report."""


PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_alive: dict[int, Process] = {}


class Process:
    """One program. Its stdout is read by lines; stderr goes to a file, of which the end appears in messages."""

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cpus: Sequence[int] | None = None,
        priority: int | None = None,
        environment: Mapping[str, str | None] | None = None,
        directory: pathlib.Path | None = None,
        name: str | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.name = name or pathlib.Path(self.command[0]).name
        self._errors = tempfile.TemporaryFile()
        self._buffer = b""
        harness = os.getpid()

        def prepare() -> None:
            # A harness that is killed takes its children along, and nginx's master its worker; one that died already cannot.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != harness:
                os._exit(1)
            os.sched_setaffinity(0, cpus or ALL_CPUS)
            policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
            os.sched_setscheduler(0, policy, os.sched_param(priority or 0))

        try:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment_with(environment or {}),
                cwd=directory,
                preexec_fn=prepare,
                # Ctrl-C is for us; we end them in order.
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot start {self.command[0]}: {error.strerror}") from error
        self.pid = self.popen.pid
        assert self.popen.stdin and self.popen.stdout
        self._stdin = self.popen.stdin
        self._stdout = self.popen.stdout
        _alive[self.pid] = self

    def send(self, line: str) -> None:
        try:
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()
        except OSError as error:
            raise Failure(self.describe(f"does not read its input ({error.strerror})")) from error

    def read_line(self, seconds: float) -> str:
        """The next line of its output."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise Timeout(self.describe(f"said nothing for {seconds:.0f} s"))
            chunk = os.read(self._stdout.fileno(), 1 << 16)
            if not chunk:
                self.wait(2)
                raise Failure(self.describe("ended its output"))
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def read_all(self, seconds: float) -> str:
        """Its output until it ends, which it must do in time and with status 0."""
        deadline = time.monotonic() + seconds
        self._stdin.close()
        while True:
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.stop()
                raise Timeout(self.describe(f"did not end within {seconds:.0f} s"))
            chunk = os.read(self._stdout.fileno(), 1 << 16)
            if not chunk:
                break
            self._buffer += chunk
        status = self.wait(max(1.0, deadline - time.monotonic()))
        if status != 0:
            raise Failure(self.describe("failed"))
        return self._buffer.decode(errors="replace")

    def running(self) -> bool:
        return self.popen.poll() is None

    def wait(self, seconds: float) -> int | None:
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def be_ordinary(self) -> None:
        """Takes all of its threads out of real time."""
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))

    def send_signal(self, number: int) -> None:
        if self.running():
            self.popen.send_signal(number)

    def stop(self, seconds: float = 3, number: int = signal.SIGTERM) -> None:
        """Ends it: asks first."""
        if self.running():
            self.popen.send_signal(number)
            if self.wait(seconds) is None:
                self.popen.kill()
                self.popen.wait(10)
        _alive.pop(self.pid, None)
        for stream in (self._stdin, self._stdout):
            try:
                stream.close()
            except OSError:
                pass

    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        size = os.fstat(self._errors.fileno()).st_size
        text = os.pread(self._errors.fileno(), 2000, max(0, size - 2000)).decode(errors="replace").strip()
        return "\n".join(text.splitlines()[-6:])

    def describe(self, what: str) -> str:
        status = self.popen.poll()
        if status is not None:
            ended = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            what += f", {ended}"
        errors = self.errors()
        return f"{self.name} {what}" + (f": {errors}" if errors else "")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Timeout(Failure):
    """It did not answer in time."""


ALL_CPUS = sorted(os.sched_getaffinity(0))


def environment_with(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Our environment with changes, without what would point TLS libraries to other certificates."""
    environment = {name: value for name, value in os.environ.items() if name not in ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_PRELOAD")}
    for name, value in changes.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def stop_all() -> None:
    for process in list(_alive.values()):
        process.stop(1)


atexit.register(stop_all)


def cpu_ns(pid: int) -> int:
    """The CPU time that a process and its ended threads have used."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError as error:
        raise Failure(f"no CPU clock of process {pid}: {error.strerror}") from error


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError as error:
        raise Failure(f"cannot list the children of process {pid}: {error.strerror}") from error


def run(command: Sequence[str | os.PathLike[str]], seconds: float = 60, **options: object) -> str:
    """Runs a command that must succeed and gives its output."""
    with Process(command, **options) as process:  # type: ignore[arg-type]
        return process.read_all(seconds)


def shown(command: Sequence[str | os.PathLike[str]]) -> str:
    return shlex.join(str(part) for part in command)
