import errno
import json
import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from keras_pli import files
from keras_pli.files import atomic_path, read_arrays, write_arrays, write_json, write_text


def names(folder):
    return sorted(os.listdir(folder))


class TestAtomicPath:
    def test_writes(self, tmp_path):
        with atomic_path(tmp_path / "a" / "b" / "table.csv") as temporary:
            temporary.write_text("1,2")
        assert (tmp_path / "a" / "b" / "table.csv").read_text() == "1,2"
        assert names(tmp_path / "a" / "b") == ["table.csv"]

    def test_the_target_is_untouched_until_the_end(self, tmp_path):
        target = tmp_path / "table.csv"
        target.write_text("old")
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            assert target.read_text() == "old"
            assert temporary.parent == target.parent  # a rename works within one file system only
        assert target.read_text() == "new"

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_leaves_what_stood_there(self, tmp_path, error):
        target = tmp_path / "table.csv"
        target.write_text("old")
        with pytest.raises(error), atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error
        assert target.read_text() == "old"
        assert names(tmp_path) == ["table.csv"]

    def test_a_failure_leaves_nothing_where_nothing_stood(self, tmp_path):
        with pytest.raises(RuntimeError), atomic_path(tmp_path / "new.csv"):
            raise RuntimeError
        assert names(tmp_path) == []

    def test_a_killed_process_leaves_what_stood_there(self, tmp_path):
        target = tmp_path / "table.csv"
        target.write_text("old")
        # The file alone: to import the package would take some seconds.
        script = """
            import os, runpy, sys
            atomic_path = runpy.run_path(sys.argv[1])["atomic_path"]
            with atomic_path(sys.argv[2]) as temporary:
                temporary.write_text("half")
                os._exit(9)
        """
        command = [sys.executable, "-c", textwrap.dedent(script), files.__file__, str(target)]
        assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 9
        assert target.read_text() == "old"

    @pytest.mark.parametrize(
        ("name", "ending"),
        [
            ("table.csv", ".csv"),
            ("volume.nii.gz", ".nii.gz"),
            ("model.weights.h5", ".weights.h5"),
            ("model.keras", ".keras"),
            ("plain", ""),
        ],
    )
    def test_the_temporary_file_has_the_whole_ending(self, tmp_path, name, ending):
        # Writers choose the format by it, and Keras refuses weights without ".weights.h5".
        with atomic_path(tmp_path / name) as temporary:
            assert temporary.name.endswith(ending)
            assert temporary.name.startswith(".")
            temporary.write_text("x")
        assert names(tmp_path) == [name]

    def test_keras_weights(self, tmp_path):
        import keras

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        with atomic_path(tmp_path / "model.weights.h5") as temporary:
            model.save_weights(temporary)
        saved = model.get_weights()
        model.set_weights([weight + 1 for weight in saved])
        model.load_weights(tmp_path / "model.weights.h5")
        assert all(map(np.array_equal, model.get_weights(), saved))

    @pytest.mark.parametrize("mask", [0o022, 0o077])
    def test_usual_permissions(self, tmp_path, mask):
        before = os.umask(mask)
        try:
            write_text(tmp_path / "note.txt", "x")
            (tmp_path / "usual.txt").write_text("x")
        finally:
            os.umask(before)
        modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("note.txt", "usual.txt")]
        assert modes[0] == modes[1] == 0o666 & ~mask

    def test_the_mask_of_the_process_is_left_alone(self, tmp_path):
        before = os.umask(0o027)
        try:
            write_text(tmp_path / "note.txt", "x")
            assert os.umask(0o027) == 0o027
        finally:
            os.umask(before)

    def test_a_folder_in_the_way(self, tmp_path):
        (tmp_path / "taken").mkdir()
        with pytest.raises(OSError), atomic_path(tmp_path / "taken") as temporary:
            temporary.write_text("x")
        assert names(tmp_path) == ["taken"]


def test_write_text(tmp_path):
    path = write_text(str(tmp_path / "note.txt"), "perplexité ≥ 50")
    assert path == tmp_path / "note.txt"
    assert path.read_bytes() == "perplexité ≥ 50".encode()


def test_write_json(tmp_path):
    value = {"a": [1, 2.5, None], "b": {"c": "é"}}
    path = write_json(tmp_path / "value.json", value)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert '\n  "a"' in text


def test_write_json_of_what_json_cannot_hold(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"a": object()})
    assert names(tmp_path) == []


def test_arrays_come_back_as_they_were(tmp_path):
    given = {"a": np.arange(6, dtype="int8").reshape(2, 3), "b/c": np.array(["é", "long"])}
    path = write_arrays(tmp_path / "deep" / "arrays.npz", given)
    assert names(path.parent) == ["arrays.npz"]
    back = read_arrays(path)
    assert set(back) == set(given)
    for name, array in given.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "I/O error"), MemoryError("none left")])
def test_trouble_with_disk_or_memory_is_no_damage(tmp_path, monkeypatch, trouble):
    path = write_arrays(tmp_path / "whole.npz", {"x": np.zeros(3)})

    def fail(*_, **__):
        raise trouble

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises(type(trouble), match=str(trouble.args[-1])):
        read_arrays(path)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"pickled\.npz is damaged: it holds pickled objects"):
        read_arrays(tmp_path / "pickled.npz")
