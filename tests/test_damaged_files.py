"""Whatever happens to a stored file, reading it gives what was stored or one error that names the file."""

import shutil
import warnings

import numpy as np
import pytest

from keras_pli.attribution import load_attributions
from keras_pli.files import read_arrays, write_arrays, write_json
from keras_pli.intervention import Contract, InterventionPlan, Separate
from keras_pli.rationale import Inversion, Rationale
from keras_pli.retraining import ExperimentResult
from keras_pli.retraining.experiment.seed_run import ARMS, RUNS, SeedRun

RNG = np.random.default_rng(0)


def seed_run():
    maps = {run: RNG.normal(size=(9, 2)).astype("float32") for run in RUNS}
    outputs = {run: RNG.random((9, 3)).astype("float32") for run in RUNS}
    moved = np.arange(9) % 3 == 1
    return SeedRun(
        0, "a plan", (1,), maps["PLI"], maps["control"], moved, None, None, maps, outputs,
        {arm: {"loss": [1.0]} for arm in ARMS},
    )  # fmt: skip


def rationale():
    arrays = {name: RNG.random((3, 4, 4, 1)) for name in Rationale._array_names()}
    return Rationale(**arrays, about={"task": "classification"})


def inversion():
    arrays = {name: RNG.random((3, 4)) for name in Inversion._array_names()}
    return Inversion(**arrays, about={"seed": 3})


def experiment(folder):
    labels = np.arange(9) % 3
    return ExperimentResult(labels, labels, {"layer": "logits"}, runs=(seed_run(),)).save(folder)


def attributions(folder):
    part = {"index": np.arange(5), "attributions": RNG.random((5, 6)), "scores": np.zeros(5)}
    write_arrays(folder / "part-000-of-001-00000.npz", part)
    write_json(folder / "finished-000-of-001.json", {"files": ["part-000-of-001-00000.npz"]})


def plan():
    return InterventionPlan([Contract(4, factor=0.5), Separate(4, 9, distance=8.0)])


# For each kind: the file that is damaged, what writes it into a folder, what reads the folder.
KINDS = {
    "SeedRun": ("run.npz", lambda folder: seed_run().save(folder / "run.npz"),
                lambda folder: SeedRun.load(folder / "run.npz")),
    "Rationale": ("why.npz", lambda folder: rationale().save(folder / "why.npz"),
                  lambda folder: Rationale.load(folder / "why.npz")),
    "Inversion": ("codes.npz", lambda folder: inversion().save(folder / "codes.npz"),
                  lambda folder: Inversion.load(folder / "codes.npz")),
    "labels": ("labels.npz", experiment, ExperimentResult.load),
    "head": ("experiment.json", experiment, ExperimentResult.load),
    "seed": ("seed-0.npz", experiment, ExperimentResult.load),
    "attributions": ("part-000-of-001-00000.npz", attributions, load_attributions),
    "mark": ("finished-000-of-001.json", attributions, load_attributions),
    "plan": ("plan.json", lambda folder: plan().save(folder / "plan.json"),
             lambda folder: InterventionPlan.load(folder / "plan.json")),
}  # fmt: skip


def damages(content, random):
    """The content cut short, with bytes flipped, with a stretch of zeros, and replaced."""
    for cut in (0, 1, len(content) // 2, len(content) - 1, *random.integers(0, len(content), 12)):
        yield content[:cut]
    for place in random.integers(0, len(content), 40):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        yield bytes(flipped)
    for place in random.integers(0, len(content), 8):
        yield content[:place] + bytes(32) + content[place + 32 :]
    yield from (b"PK\x03\x04", b"{}", b"[]", b"null", b'{"format": 3}', bytes(300), b"\xff\xfe")


@pytest.mark.parametrize("kind", KINDS)
def test_one_error_that_names_the_file(kind, tmp_path):
    name, write, read = KINDS[kind]
    write(tmp_path)
    read(tmp_path)
    content = (tmp_path / name).read_bytes()
    refused = 0
    for number, damaged in enumerate(damages(content, np.random.default_rng(1))):
        (tmp_path / name).write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile's, of names that a flip made alike
            try:
                read(tmp_path)
            except ValueError as error:
                assert str(tmp_path) in str(error), (number, error)
                refused += 1
    assert refused > 20


def test_arrays_that_are_not_asked_for_are_not_unpacked(tmp_path, monkeypatch):
    write_arrays(tmp_path / "both.npz", {"small": np.arange(3), "large": np.zeros(10**6)})
    content = bytearray((tmp_path / "both.npz").read_bytes())
    start = content.find(b"large.npy") + 60
    content[start : start + 20] = bytes(20)  # unpacking it would fail
    (tmp_path / "both.npz").write_bytes(content)
    assert read_arrays(tmp_path / "both.npz", ["small"])["small"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"both\.npz is damaged"):
        read_arrays(tmp_path / "both.npz")


def test_a_foreign_archive_is_refused_by_what_it_says_of_itself(tmp_path):
    shutil.copy(write_arrays(tmp_path / "x.npz", {"x": np.zeros(5)}), tmp_path / "why.npz")
    with pytest.raises(
        ValueError, match=r"why\.npz' is not a stored Rationale: its format is None"
    ):
        Rationale.load(tmp_path / "why.npz")
