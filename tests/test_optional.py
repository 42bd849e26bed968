"""A library that is broken costs what needs it and nothing else."""

import sys

import numpy as np
import pytest

from keras_pli import nearest_neighbors
from keras_pli.evaluation.similarity import spearman, ssim
from keras_pli.images import letterbox, to_range
from keras_pli.optional import imported

POINTS = np.random.default_rng(0).random((9, 3))
IMAGES = POINTS.reshape(1, 9, 3)


@pytest.mark.parametrize(
    ("module", "needs", "message"),
    [
        (
            "pynndescent",
            lambda: nearest_neighbors(POINTS, 2, method="approximate"),
            r"approximate search needs pynndescent,.*--force-reinstall pynndescent`, or take the exact",
        ),
        (
            "skimage.metrics",
            lambda: ssim(IMAGES, IMAGES),
            "Structural similarity needs scikit-image,",
        ),
        (
            "skimage.transform",
            lambda: letterbox(IMAGES, 4),
            r"Resizing images needs scikit-image,.*--force-reinstall scikit-image`\.",
        ),
    ],
)
def test_a_library_that_cannot_be_imported(monkeypatch, module, needs, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        needs()
    # What does without it goes on.
    assert nearest_neighbors(POINTS, 2, method="exact").indices.shape == (9, 2)
    np.testing.assert_allclose(spearman(IMAGES, IMAGES), 1)
    assert to_range(IMAGES, source=(0, 1)).shape == IMAGES.shape


def test_whatever_a_broken_library_raises(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("raise OSError('libllvm.so: wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"It needs broken_library.*libllvm.so: wrong ELF class"):
        imported("broken_library", "It")
