"""The real npm packages of other frameworks, and a Node.js program that has them: they are
installed once, beside the tests' packages."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.services import BEHIND, Missing, framework, kept, without
from tests.services.framework import Framework

OLDEST = 20
"""The Node.js that the packages run on."""


@contextlib.contextmanager
def running(packages: Mapping[str, str], program: str) -> Iterator[Framework]:
    """The program of that name in this folder, with these packages (name -> exact version), until
    the end. Where they cannot be had the test is skipped with the reason."""
    try:
        node, modules = _node(), installed(packages, Path(program).stem)
    except Missing as missing:
        without("node", str(missing))
        return
    path = Path(__file__).with_name(program)
    # The packages lie elsewhere than the program: `require` finds them by NODE_PATH.
    with framework.speaking([node, str(path)], NODE_PATH=str(modules)) as speaking:
        yield speaking


def installed(packages: Mapping[str, str], name: str) -> Path:
    """The folder of modules that has these, made at the first call; Missing where npm cannot."""
    wanted = json.dumps({"private": True, "dependencies": dict(packages)}, indent=1)
    with kept(name) as folder:
        complete = folder / "complete"
        if not complete.exists() or complete.read_text() != wanted:
            complete.unlink(missing_ok=True)
            _install(folder, wanted)
            complete.write_text(wanted)
        return folder / "node_modules"


def _install(folder: Path, wanted: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not on PATH")
    (folder / "package.json").write_text(wanted)
    # Peers are packages for every store there is: those that are needed are named. No package's
    # script is needed, so none is run.
    options = ("--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund")
    try:
        done = subprocess.run(
            [npm, "install", *options], cwd=folder, capture_output=True, text=True, timeout=250
        )
    except subprocess.TimeoutExpired:
        raise Missing("npm did not fetch the packages in time") from None
    if done.returncode:
        raise Missing(f"npm did not fetch the packages: {done.stderr[-500:]}")


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        raise Missing("it is not on PATH")
    version = subprocess.check_output([node, "--version"], text=True).strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < OLDEST:
        raise Missing(f"Node.js {version}, where {OLDEST} is needed")
    BEHIND["node"] = f"Node.js {version}"
    return node
