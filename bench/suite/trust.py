"""A trust store of the system that holds the test's authority too, seen by one process and its children only."""

from __future__ import annotations

import os
import pathlib
import shutil

from .processes import Failure, run

STORE = pathlib.Path("/etc/ssl/certs")
BUNDLE = "ca-certificates.crt"


def make_store(authority: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """Copies the system's store and adds the authority as the system's tools would: to the bundle and as a hashed link."""
    if not (STORE / BUNDLE).is_file():
        raise Failure(f"there is no {STORE / BUNDLE}")
    store = directory / "trust-store"
    shutil.copytree(STORE, store, symlinks=True)
    bundle = store / BUNDLE
    text = bundle.read_text()
    # The copy may be a link to somewhere else.
    bundle.unlink()
    bundle.write_text(text + ("" if text.endswith("\n") else "\n") + authority.read_text())
    shutil.copy(authority, store / "hawser-bench-authority.pem")
    name = run(["openssl", "x509", "-noout", "-hash", "-in", authority], 10).strip()
    number = 0
    while os.path.lexists(store / f"{name}.{number}"):
        number += 1
    (store / f"{name}.{number}").symlink_to("hawser-bench-authority.pem")
    return store


def inside(store: pathlib.Path) -> list[str]:
    """What to put before a command so that it sees this store in the system's place, in a mount namespace of its own."""
    become_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return ["unshare", "--mount", *become_root, "sh", "-c", script, "sh", str(store), str(STORE)]


def refused(store: pathlib.Path) -> str | None:
    """None if such a namespace can be had, else what the system says."""
    try:
        run([*inside(store), "test", "-e", str(STORE / "hawser-bench-authority.pem")], 10)
    except Failure as failure:
        return f"no private mount namespace here: {failure}"
    return None


def size_of_bundle() -> int:
    return (STORE / BUNDLE).read_text().count("BEGIN CERTIFICATE")
