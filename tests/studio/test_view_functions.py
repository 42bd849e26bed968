"""The page's functions that need no page, by node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

from keras_pli.studio.view_source import module_source

# All files in one process: the runner would start one for each.
SCRIPT = "for (const file of process.argv.slice(1)) await import(file);"


@pytest.fixture(scope="module")
def node():
    found = shutil.which("node")
    if found is None:
        pytest.skip("node, which runs the page's functions here, is not installed")
    return found


def test_the_functions_of_the_view(node):
    files = sorted((Path(__file__).parent / "view").glob("*.test.mjs"))
    assert len(files) > 4
    command = [node, "--input-type=module", "-e", SCRIPT, *(file.as_uri() for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_no_two_files_of_the_view_call_something_by_one_name(node, tmp_path):
    module = tmp_path / "view.mjs"
    module.write_text(module_source(), encoding="utf-8")
    done = subprocess.run([node, "--check", module], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
