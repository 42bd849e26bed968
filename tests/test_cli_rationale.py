"""`keras-pli rationale` as a user would call it, on the stored networks of the digits."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from keras_pli import rationale
from keras_pli.cli import main
from keras_pli.rationale import Rationale, RationaleGenerator, letterbox, to_range
from keras_pli.rationale.digit_networks import FOLDER as NETWORKS


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


@pytest.mark.slow
def test_run_again_it_goes_on(arguments, tmp_path, monkeypatch, capsys):
    class Stopped(RationaleGenerator):
        def __init__(self, *models, **options):
            super().__init__(*models, batch_size=2, **options)
            traced, runs = self.runner.traced, []

            def counting(function, signature, key):
                compiled = traced(function, signature, key)

                def run(*tensors):
                    if len(runs) == 2:
                        raise KeyboardInterrupt
                    runs.append(1)
                    return compiled(*tensors)

                return run if key == "tensors" else compiled

            self.runner.traced = counting

    given = [*arguments, "--target", "4", "--index", "0,1,2,3,4", "--out"]
    assert main([*given, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(rationale, "RationaleGenerator", Stopped)
    folder = tmp_path / "parted"
    assert main([*given, str(folder)]) == 130
    assert "what was finished is kept" in capsys.readouterr().err
    assert not (folder / "rationales.npz").exists()
    assert len(list((folder / "parts").glob("part-*.npz"))) == 2
    assert main([*given[:-1], "--seed", "1", "--out", str(folder)]) == 1
    assert "'seed': 0}, and now {'seed': 1}. Delete it" in capsys.readouterr().err
    assert main([*given, str(folder)]) == 0
    assert not (folder / "parts").exists()
    whole, parted = (
        Rationale.load(tmp_path / name / "rationales.npz") for name in ("whole", "parted")
    )
    np.testing.assert_allclose(parted.codes, whole.codes, atol=1e-4)


@pytest.mark.slow
def test_bad_input(arguments, tmp_path, capsys):
    assert main([*arguments, "--target", "9", "--index", "0", "--out", str(tmp_path)]) == 1
    assert "is the predicted class already in 1 of 1 rows" in capsys.readouterr().err
    assert main([*arguments, "--index", "9999", "--out", str(tmp_path)]) == 1
    assert "--index must lie from 0" in capsys.readouterr().err
