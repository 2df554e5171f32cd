"""The demo of the README runs, and says what it should."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_runs_the_main_job() -> None:
    demo = Path(__file__).with_name("demo.py")
    done = subprocess.run([sys.executable, str(demo)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in (
        "ls",
        "show",
        "search",
        "context",
        "export",
        "import",
        "migrate",
        "check",
        "clear",
        "undo",
    ):
        assert f"$ synmem {verb}" in done.stdout
    assert "User: Which stores can it keep conversations in?" in done.stdout
    assert "user:42/ünïcode ✓" in done.stdout
    assert done.stdout.endswith("Every message, exactly, in order.\n")
