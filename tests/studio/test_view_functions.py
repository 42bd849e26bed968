"""The page's functions that need no page, by node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

# All files in one process: the runner would start one for each.
SCRIPT = "for (const file of process.argv.slice(1)) await import(file);"


def test_the_functions_of_the_view():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the page's functions here, is not installed")
    files = sorted((Path(__file__).parent / "view").glob("*.test.mjs"))
    assert len(files) > 4
    command = [node, "--input-type=module", "-e", SCRIPT, *(file.as_uri() for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
