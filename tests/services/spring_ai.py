"""The real Spring AI and its chat memory on PostgreSQL."""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path

from tests.services import Missing, framework, maven
from tests.services.framework import Framework

VERSIONS = ("2.0.1", "1.1.6")
"""The newest of each form of its table."""
MEMORY = "org.springframework.ai:spring-ai-model-chat-memory-repository-jdbc"
DRIVER = "org.postgresql:postgresql:42.7.14"
ZONE = timezone(timedelta(hours=5, minutes=30))
"""That of its Java machine: the same all year."""


@contextlib.contextmanager
def spring_ai(version: str) -> Iterator[Framework]:
    """It, until the end; Missing where this machine has no Java or Maven."""
    java = shutil.which("java")
    if java is None:
        raise Missing("no java")
    jars = maven.jars(f"{MEMORY}:{version}", DRIVER)
    command = [
        # Of what a test asks little is asked so often that more than the first compiler pays.
        java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m",
        "-Duser.timezone=Asia/Kolkata", "-cp", f"{jars}/*",
        str(Path(__file__).with_name("SpringAiMemory.java")),
    ]  # fmt: skip
    with framework.speaking(command) as running:
        yield running
