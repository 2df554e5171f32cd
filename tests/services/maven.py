"""What Maven fetches, once for this environment: jars, and all that they need."""

import shutil
import subprocess
from pathlib import Path

from tests.services import Missing, kept

_DEPENDENCY = """<dependency>
<groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
</dependency>"""
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version>
<dependencies>{}</dependencies></project>
"""


def jars(*artifacts: str) -> Path:
    """The folder that has these, each `group:artifact:version`, of which the first names it;
    Missing where they cannot be had."""
    _, name, version = artifacts[0].split(":")
    with kept(f"{name}-{version}") as here:
        if not (here / "fetched").exists():
            needed = "".join(_DEPENDENCY.format(*each.split(":")) for each in artifacts)
            (here / "pom.xml").write_text(_POM.format(needed))
            _fetch(here)
            (here / "fetched").touch()
        return here / "lib"


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("no mvn")
    command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise Missing("Maven did not come to an end") from None
    if done.returncode:
        raise Missing(f"Maven failed: {done.stdout[-500:]}")
