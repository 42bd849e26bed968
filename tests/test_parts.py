"""Numbered parts in a folder that belongs to one piece of work."""

import doctest
import json

import numpy as np
import pytest

from keras_pli import parts
from keras_pli.parts import PartFolder, digest


@pytest.fixture
def folder(tmp_path):
    return PartFolder(tmp_path / "run", "squares")


def numbered(number):
    return {"number": np.full(3, number, "int16"), "half/value": np.float32([number / 2])}


def test_parts_come_back_in_order(folder):
    for number in range(12):
        folder.add(numbered(number))
    assert [file.name for file in folder.files][::11] == ["part-00000.npz", "part-00011.npz"]
    for number, part in enumerate(folder.read()):
        assert set(part) == {"number", "half/value"}
        for name, array in numbered(number).items():
            np.testing.assert_array_equal(part[name], array)
            assert part[name].dtype == array.dtype


def test_what_is_behind_a_missing_part_does_not_count(folder):
    for number in range(4):
        folder.add(numbered(number))
    folder.files[2].unlink()
    assert len(folder.files) == len(folder.read()) == 2
    folder.add(numbered(7))
    assert [int(part["number"][0]) for part in folder.read()] == [0, 1, 7, 3]


def test_a_folder_belongs_to_one_identity(folder):
    folder.claim({"seed": 1, "weights": "ab"})
    folder.claim({"seed": 1, "weights": "ab"})
    assert json.loads((folder.folder / "squares.json").read_text()) == {"seed": 1, "weights": "ab"}
    folder.add(numbered(0))
    with pytest.raises(
        ValueError, match=r"run holds squares .* \{'seed': 1\}, and now \{'seed': 2\}"
    ):
        folder.claim({"seed": 2, "weights": "ab"})
    folder.claim({"seed": 1, "weights": "ab"})


def test_parts_of_which_nothing_is_noted_are_refused(folder):
    folder.add(numbered(0))
    with pytest.raises(ValueError, match=r"otherwise: \{'seed': None\}, and now \{'seed': 1\}"):
        folder.claim({"seed": 1})


def test_clearing_leaves_what_others_put_there(folder):
    folder.clear()
    folder.claim({"seed": 1})
    folder.add(numbered(0))
    folder.add(numbered(1))
    folder.files[0].unlink()
    for name in (".part-00002-x1.npz", "note.txt", "partial.npz"):
        (folder.folder / name).write_text("x")
    folder.clear()
    assert {path.name for path in folder.folder.iterdir()} == {"note.txt", "partial.npz"}
    for path in folder.folder.iterdir():
        path.unlink()
    folder.clear()
    assert not folder.folder.exists()


def test_folders_are_shared_by_prefix(tmp_path):
    one, other = (PartFolder(tmp_path, "squares", prefix) for prefix in ("part-0", "part-1"))
    one.add(numbered(0))
    other.add(numbered(1))
    assert len(one.files) == len(other.files) == 1
    assert other.read()[0]["number"][0] == 1


def test_digests_tell_arrays_apart():
    same = [np.arange(4.0), np.zeros((2, 2))]
    assert digest(*same) == digest(*(array.copy() for array in same))
    assert digest(*same) == digest(np.asfortranarray(np.arange(4.0)), np.zeros((2, 2), order="F"))
    assert digest(*same) != digest(*same[::-1])
    assert digest(np.eye(3)) != digest(np.eye(3) + np.eye(3)[::-1] * 1e-12)
    assert len(digest()) == 16


def test_examples_run():
    result = doctest.testmod(parts)
    assert result.attempted and not result.failed
