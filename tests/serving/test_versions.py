"""Versions appear whole, in order, and never over one another."""

import inspect
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_pli.serving.version_folders import new_version, versions


def write(path, version=None, text="model"):
    with new_version(path, version) as new:
        (new.folder / "saved_model.pb").write_text(text)
    return new.path


def test_numbers_follow_the_highest(tmp_path):
    assert [write(tmp_path / "m").name for _ in range(2)] == ["1", "2"]
    assert write(tmp_path / "m", 10).name == "10"
    assert write(tmp_path / "m").name == "11"
    assert write(tmp_path / "m", 0).name == "0"
    assert versions(tmp_path / "m") == [0, 1, 2, 10, 11]
    assert versions(tmp_path / "nowhere") == []


def test_what_is_no_version(tmp_path):
    for name in ("one", "1.5", ".writing-x", "²", "-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert versions(tmp_path) == []


def test_an_existing_version_is_kept(tmp_path):
    write(tmp_path, 3, "first")
    with pytest.raises(ValueError, match=r"already holds version 3.*\[3\]"):
        write(tmp_path, 3, "second")
    assert (tmp_path / "3" / "saved_model.pb").read_text() == "first"


def test_a_version_that_came_first_meanwhile(tmp_path):
    with (
        pytest.raises(ValueError, match="already holds version 1"),
        new_version(tmp_path, 1) as new,
    ):
        (new.folder / "saved_model.pb").write_text("late")
        write(tmp_path, 1, "early")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "early"
    with new_version(tmp_path) as new:
        (new.folder / "saved_model.pb").write_text("next")
        write(tmp_path, 2)
    assert new.path == tmp_path / "3"


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_version(tmp_path) as new:
        (new.folder / "saved_model.pb").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_many_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        names = [path.name for path in pool.map(lambda _: write(tmp_path), range(24))]
    assert sorted(map(int, names)) == list(range(1, 25))
    assert all((tmp_path / name / "saved_model.pb").is_file() for name in names)


PACKAGE = Path(inspect.getsourcefile(versions)).parents[1]
KILLED = """
import sys, time, types
for name, folder in {"keras_pli": sys.argv[1], "keras_pli.serving": sys.argv[1] + "/serving"}.items():
    sys.modules[name] = types.ModuleType(name)  # two files of the package, without TensorFlow
    sys.modules[name].__path__ = [folder]
from keras_pli.serving.version_folders import new_version
with new_version(sys.argv[2]) as new:
    (new.folder / "saved_model.pb").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_leaves_no_version(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(PACKAGE), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == "writing"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert versions(tmp_path) == []
    assert any(path.name.startswith(".writing-") for path in tmp_path.iterdir())
    assert write(tmp_path).name == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]  # what the killed one left is gone


def test_others_may_read(tmp_path):
    os.chmod(tmp_path, 0o755)
    assert write(tmp_path).stat().st_mode & 0o777 == 0o755
