"""`keras-pli rationale` as a user would call it, on the stored networks of the digits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_pli.cli import main
from keras_pli.rationale import Rationale, letterbox, to_range

NETWORKS = Path(__file__).parents[1] / "saved_models" / "rationale_digits"


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    digits = load_digits()
    nines = letterbox(digits.images[digits.target == 9][..., None] * 255 / 16, 16)
    path = tmp_path_factory.mktemp("data") / "nines.npz"
    np.savez(path, x=to_range(nines, source=(0, 255)))
    networks = ("generator", "encoder", "classifier")
    files = [part for name in networks for part in (f"--{name}", str(NETWORKS / f"{name}.keras"))]
    return ["rationale", *files, "--data", str(path)]


def test_it_writes_everything(arguments, tmp_path, capsys):
    given = [*arguments, "--target", "4", "--index", "0,3", "--out", str(tmp_path)]
    assert main(given) == 0
    assert capsys.readouterr().out.count("9 → 4") == 2
    found = Rationale.load(tmp_path / "rationales.npz")
    assert list(found.target) == [4, 4]
    assert (found.status == "reached").all()
    assert list(pd.read_csv(tmp_path / "rationales.csv")["target"]) == [4, 4]
    assert "9 → 4" in (tmp_path / "rationales.html").read_text(encoding="utf-8")
    assert Image.open(tmp_path / "rationales.png").width > 300


def test_bad_input(arguments, tmp_path, capsys):
    assert main([*arguments, "--target", "9", "--index", "0", "--out", str(tmp_path)]) == 1
    assert "is the predicted class already in 1 of 1 rows" in capsys.readouterr().err
    assert main([*arguments, "--index", "9999", "--out", str(tmp_path)]) == 1
    assert "--index must lie from 0" in capsys.readouterr().err
