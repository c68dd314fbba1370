"""Builds the contenders with scripts/configure and Meson, and makes the certificates."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess

from .processes import Failure, environment_with, run


PROGRAMS = (
    "load", "count_allocations", "primitives", "asio_primitives", "hawser_server_no_recycler",
    *(f"{name}_{side}" for name in ("hawser", "floor", "blocking_libtls", "blocking_openssl", "asio") for side in ("server", "client")),
    "curl_client", "lua_modules",
)


def directory_for(source: pathlib.Path, compiler: str, libtls: pathlib.Path | None, asio: pathlib.Path | None) -> pathlib.Path:
    """One for each compiler and each library that is not the system's."""
    name = "bench"
    if compiler != "g++":
        name += "-" + pathlib.Path(compiler.split()[-1]).name
    for path in (libtls, asio):
        if path is not None:
            name += "-" + "-".join(part for part in path.resolve().parts[-2:] if part not in ("/", "include", "usr"))
    return source / "build" / name


def library_environment(libtls: pathlib.Path | None) -> dict[str, str | None]:
    """So that pkg-config and the loader find a libtls under this prefix before the system's."""
    if libtls is None:
        return {}
    libraries = [path for path in (libtls / "lib", libtls / "lib64", *sorted((libtls / "lib").glob("*-linux-gnu"))) if path.is_dir()]
    if not any((path / "pkgconfig" / "libtls.pc").is_file() for path in libraries):
        raise Failure(f"no pkgconfig/libtls.pc under {libtls}/lib")
    found: dict[str, str | None] = {}
    for variable, paths in (
        ("PKG_CONFIG_PATH", [path / "pkgconfig" for path in libraries]),
        ("LD_LIBRARY_PATH", libraries),
    ):
        before = os.environ.get(variable)
        found[variable] = os.pathsep.join([*map(str, paths), *([before] if before else [])])
    return found


def build(source: pathlib.Path, directory: pathlib.Path, compiler: str, environment: dict[str, str | None],
          asio: pathlib.Path | None, jobs: int) -> pathlib.Path:
    """Returns where the programs are."""
    # No build type: Meson applies that of a directory that is configured again after the optimization, and takes it away.
    options = ["-Dbench=enabled", "-Dlua=enabled", "-Dtests=disabled", "-Dexamples=disabled", "-Doptimization=2", "-Ddebug=false", "--wrap-mode=nofallback"]
    # Before the system's, and its warnings are not ours.
    options.append(f"-Dcpp_args=-isystem{asio}" if asio else "-Dcpp_args=")
    whole = environment_with({**environment, "CXX": compiler})
    relative = os.path.relpath(directory, source)
    for command in ([source / "scripts/configure", relative, *options], ["meson", "compile", "-C", relative, "-j", str(jobs), *PROGRAMS]):
        done = subprocess.run([str(word) for word in command], cwd=source, env=whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Failure(f"{' '.join(map(str, command[:1]))} failed:\n" + "\n".join(done.stdout.splitlines()[-30:]))
    if "-O2" not in flags_of(directory).split():
        raise Failure(f"the build in {relative} is not optimised: its flags are {flags_of(directory)}")
    return directory / "bench"


def make_certificates(source: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    run([source / "scripts/make-certs", directory], 60)
    return directory


def flags_of(directory: pathlib.Path) -> str:
    """The flags of hawser's server, without where things are."""
    try:
        entries = json.loads((directory / "compile_commands.json").read_text())
    except (OSError, ValueError):
        return "unknown"
    for entry in entries:
        if entry["file"].endswith("/hawser_server.cpp"):
            words = shlex.split(entry["command"])[1:]
            return " ".join(word for word in words if word.startswith(("-O", "-std", "-f", "-g", "-m", "-DN")) and "diagnostics" not in word)
    return "unknown"
