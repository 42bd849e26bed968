"""Numbered parts in a folder that belongs to one piece of work."""

import doctest
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_pli import files, locks, parts
from keras_pli.parts import PartFolder, digest

MADE_FROM = {"seed": 1, "weights": "ab"}


@pytest.fixture
def folder(tmp_path):
    return PartFolder(tmp_path / "run", "squares")


def numbered(number):
    return {"number": np.full(3, number, "int32"), "half/value": np.float32([number / 2])}


def write(folder, *numbers, identity=MADE_FROM):
    with folder.writing(identity) as writer:
        for number in numbers:
            writer.write(number, numbered(number))


def test_parts_come_back_by_number(folder):
    write(folder, *range(12))
    assert [file.name for file in folder.files][::11] == ["part-00000.npz", "part-00011.npz"]
    for number in range(12):
        part = folder.read(number)
        assert set(part) == {"number", "half/value"}
        for name, array in numbered(number).items():
            np.testing.assert_array_equal(part[name], array)
            assert part[name].dtype == array.dtype
    assert folder.read(12) is None


def test_of_settings_within_settings_those_are_named_that_differ(folder):
    write(folder, 0, identity={"seed": 1, "method": {"steps": 3, "layer": "a", "of": {"x": 1}}})
    now = {"seed": 1, "method": {"steps": 4, "layer": "a", "of": {"x": 1}, "new": 2}}
    message = r"otherwise: {'method': {'steps': 3, 'new': None}}, and now {'method': {'steps': 4, 'new': 2}}"
    with pytest.raises(ValueError, match=message):
        folder.check(now)
    folder.check({"seed": 1, "method": {"steps": 3, "layer": "a", "of": {"x": 1}}})


def test_a_number_of_more_digits_is_read_as_any(folder):
    write(folder, 99_999, 100_000)
    assert folder.numbers == [99_999, 100_000]
    assert folder.read(100_000)["number"][0] == numbered(100_000)["number"][0]


def test_a_missing_part_is_written_at_its_own_place(folder):
    write(folder, 0, 1, 2, 3)
    folder.path(1).unlink()
    assert folder.numbers == [0, 2, 3]
    write(folder, 1)
    assert [int(folder.read(number)["number"][0]) for number in folder.numbers] == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", [b"", b"no zip", "cut", "flipped"])
def test_a_damaged_part_is_none_and_named(folder, damage):
    write(folder, 0, 1)
    content = bytearray(folder.path(1).read_bytes())
    if damage == "flipped":
        content[60] ^= 255
    folder.path(1).write_bytes({"cut": content[:-40], "flipped": content}.get(damage, damage))
    with pytest.warns(UserWarning, match=r"part-00001\.npz is damaged.*made again"):
        assert folder.read(1) is None
    assert folder.read(0) is not None


class TestIdentity:
    def test_a_folder_belongs_to_what_its_parts_are_made_from(self, folder):
        write(folder, 0)
        assert json.loads((folder.folder / "squares.json").read_text()) == MADE_FROM
        with pytest.raises(
            ValueError, match=r"run holds squares .* \{'seed': 1\}, and now \{'seed': 2\}"
        ):
            write(folder, 0, identity={"seed": 2, "weights": "ab"})
        write(folder, 1)

    def test_nothing_is_claimed_before_there_is_a_part(self, folder):
        write(folder)
        assert not (folder.folder / "squares.json").exists()
        with pytest.raises(KeyError), folder.writing({"seed": 3}):
            raise KeyError
        write(folder, 0)

    def test_a_note_without_parts_claims_nothing(self, folder):
        folder.folder.mkdir()
        folder.note.write_text('{"seed": 3}')
        write(folder, 0)
        assert json.loads(folder.note.read_text()) == MADE_FROM

    def test_parts_of_which_nothing_is_noted_are_refused(self, folder):
        write(folder, 0)
        folder.note.unlink()
        with pytest.raises(ValueError, match=r"otherwise: \{'seed': None.*and now \{'seed': 1"):
            write(folder, 1)

    def test_a_damaged_note_is_named(self, folder):
        write(folder, 0)
        folder.note.write_text('{"seed": 1, "weigh')
        with pytest.raises(ValueError, match=r"squares\.json is damaged"):
            write(folder, 1)

    def test_shares_have_one_note(self, tmp_path):
        one, other = (PartFolder(tmp_path, "squares", share) for share in ("0-of-2", "1-of-2"))
        write(one, 0)
        with pytest.raises(ValueError, match="'seed': 1"):
            write(other, 0, identity={"seed": 2})
        write(other, 0, 1)
        assert (one.numbers, other.numbers) == ([0], [0, 1])

    def test_shares_that_begin_at_once_must_agree(self, tmp_path):
        one, other = (PartFolder(tmp_path, "squares", share) for share in ("0-of-2", "1-of-2"))
        with one.writing({"seed": 1}) as first, other.writing({"seed": 2}) as second:
            first.write(0, numbered(0))
            with pytest.raises(ValueError, match="'seed': 1"):
                second.write(0, numbered(0))
        assert other.numbers == []


class TestFinished:
    def test_the_mark_lists_the_parts(self, folder):
        assert folder.finished is None
        with folder.writing(MADE_FROM) as writer:
            for number in range(3):
                writer.write(number, numbered(number))
            writer.finish(3)
        assert folder.finished == 3
        listed = json.loads((folder.folder / "finished.json").read_text())["files"]
        assert listed == [file.name for file in folder.files]

    def test_parts_of_more_samples_are_refused(self, folder):
        with folder.writing(MADE_FROM) as writer:
            for number in range(3):
                writer.write(number, numbered(number))
            with pytest.raises(ValueError, match=r"more samples .*part-00002\.npz"):
                writer.finish(2)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}'])
    def test_a_damaged_mark_is_named(self, folder, text):
        write(folder, 0)
        (folder.folder / "finished.json").write_text(text)
        with pytest.raises(ValueError, match=r"finished\.json is damaged"):
            _ = folder.finished


HOLDING = """
import runpy, sys, time, types
package = types.ModuleType("keras_pli")
package.__path__ = [sys.argv[1]]  # the files alone: to import the package would take some seconds
sys.modules["keras_pli"] = package
from keras_pli.locks import one_writer
with one_writer(sys.argv[2], "part"):
    print("held", flush=True)
    time.sleep(600)
"""


class TestOneWriter:
    def test_a_second_one_is_told_of_the_first(self, folder):
        with folder.writing(MADE_FROM) as writer:
            writer.write(0, numbered(0))
            with pytest.raises(RuntimeError, match=f"written by process {os.getpid()} on .*since"):
                write(folder, 1)
        write(folder, 1)

    def test_nothing_is_left_where_nothing_was_written(self, folder):
        with pytest.raises(KeyError), folder.writing(MADE_FROM):
            raise KeyError
        assert not folder.folder.exists()
        folder.folder.mkdir()  # somebody's own
        with folder.writing(MADE_FROM):
            pass
        assert folder.folder.exists()

    def test_a_folder_that_another_share_has_locked_stays(self, tmp_path):
        one, other = (PartFolder(tmp_path / "run", "squares", share) for share in ("0", "1"))
        with locks.one_writer(other.folder, "part-1"):
            (other.folder / ".part-1.writer").unlink()  # as in the moment before it is written
            locks.remove_unused(one.folder)
            assert (one.folder / ".part-1.lock").exists()

    def test_a_killed_one_leaves_no_lock(self, folder):
        package = os.path.dirname(files.__file__)
        command = [sys.executable, "-c", HOLDING, package, str(folder.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "held\n"
                with pytest.raises(RuntimeError, match=f"by process {process.pid} on "):
                    write(folder, 0)
            finally:
                process.send_signal(signal.SIGKILL)
        write(folder, 0)
        assert folder.numbers == [0]

    def test_what_the_killed_leave_is_deleted(self, folder):
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        own = files.temporary_prefix()
        folder.folder.mkdir()
        left = own.replace(f"-{os.getpid()}-", f"-{dead.pid}-") + "part-00000-x1.npz"
        for name in (left, f"{own}part-00001-x2.npz"):
            (folder.folder / name).write_text("x")
        files.sweep(folder.folder)
        assert [path.name for path in folder.folder.iterdir()] == [f"{own}part-00001-x2.npz"]


class TestKinds:
    """npz and Parquet in one folder: of each, the note is another file."""

    @pytest.fixture
    def table(self, folder):
        pytest.importorskip("pyarrow")
        return PartFolder(folder.folder, "squares", kind="parquet")

    def test_notes_of_parquet_are_hidden(self, table):
        with table.writing(MADE_FROM) as writer:
            writer.write(0, {"square": np.arange(3)})
            writer.finish(1)
        assert {file.name for file in table.folder.glob("[!_.]*")} == {"part-00000.parquet"}
        assert table.finished == 1

    def test_parts_of_the_other_kind_are_refused_by_their_own_note(self, folder, table):
        write(folder, 0)
        parts.write_json(table.note, {**MADE_FROM, "kind": "parquet"})  # of parts that are gone
        with pytest.raises(
            ValueError, match=r"otherwise: {'kind': None}, and now {'kind': 'parquet'}"
        ):
            table.check({**MADE_FROM, "kind": "parquet"})

    def test_notes_of_parts_that_are_gone_claim_nothing(self, folder, table):
        with folder.writing(MADE_FROM) as writer:
            writer.write(0, numbered(0))
            writer.finish(1)
        folder.path(0).unlink()
        with table.writing({"seed": 2}) as writer:
            writer.write(0, {"square": np.arange(3)})
            writer.finish(1)
        table.check({"seed": 2})
        assert parts.marks(folder.folder) == [table.folder / "_finished.json"]


def test_clearing_leaves_what_others_put_there(folder):
    folder.clear()
    write(folder, 0, 1)
    for name in ("note.txt", "partial.npz"):
        (folder.folder / name).write_text("x")
    folder.clear()
    left = {path.name for path in folder.folder.iterdir() if not path.name.startswith(".")}
    assert left == {"note.txt", "partial.npz"}
    for name in left:
        (folder.folder / name).unlink()
    folder.clear()
    assert not folder.folder.exists()


def test_digests_tell_arrays_apart():
    same = [np.arange(4.0), np.zeros((2, 2))]
    assert digest(*same) == digest(*(array.copy() for array in same))
    assert digest(*same) == digest(np.asfortranarray(np.arange(4.0)), np.zeros((2, 2), order="F"))
    assert digest(*same) != digest(*same[::-1])
    assert digest(np.eye(3)) != digest(np.eye(3) + np.eye(3)[::-1] * 1e-12)
    assert len(digest()) == 16


@pytest.mark.parametrize("module", [parts, locks])
def test_examples_run(module):
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed
