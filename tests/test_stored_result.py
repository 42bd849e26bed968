"""What inversions and traversals found is stored as plain arrays, and comes back as it was."""

from dataclasses import fields, replace

import numpy as np
import pytest
from class_latent_models import BLOCK, STRUCTURE, drawing, generator, random_classifier

from keras_pli.rationale import Inversion, Rationale, Traversal, invert, traverse

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(4, STRUCTURE + BLOCK)).astype("float32")
MODELS = generator(drawing(), "tanh"), random_classifier()


def inversion():
    images = MODELS[0](CODES).numpy()
    settings = {"structure_size": STRUCTURE, "steps": 20, "seed": np.int64(3)}
    return invert(*MODELS, images, **settings)


def traversal():
    z1, z2 = np.split(CODES, [STRUCTURE], axis=1)
    names = ("without", "with")
    return traverse(*MODELS, z1, z2, steps=3, structure_size=STRUCTURE, class_names=names)


@pytest.mark.parametrize("found", [inversion(), traversal()], ids=["inversion", "traversal"])
def test_it_comes_back_as_it_was(found, tmp_path):
    path = found.save(tmp_path / "deep" / "found.npz")
    assert [file.name for file in path.parent.iterdir()] == ["found.npz"]
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind != "O" for name in stored)
    back = type(found).load(path)
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(back, field.name)
        if field.name == "about":
            assert one == other
        else:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other, err_msg=field.name)
    assert back.to_frame().equals(found.to_frame())


def test_names_and_range_are_tuples_again(tmp_path):
    back = Traversal.load(traversal().save(tmp_path / "way.npz"))
    assert back.about["class_names"] == ("without", "with")
    assert back.about["image_range"] == (-1.0, 1.0)


def test_numbers_of_numpy_are_stored_as_pythons(tmp_path):
    way = traversal()
    given = {"rate": np.float32(0.5), "image_range": np.array([-1.0, 1.0]), "class_names": None}
    back = Traversal.load(replace(way, about=given).save(tmp_path / "way.npz"))
    assert back.about == {"rate": 0.5, "image_range": (-1.0, 1.0), "class_names": None}


def test_of_another_kind(tmp_path):
    path = traversal().save(tmp_path / "way.npz")
    for kind in (Inversion, Rationale):
        with pytest.raises(
            ValueError, match=rf"way.npz' is not a stored {kind.__name__}: .*keras_pli.Traversal"
        ):
            kind.load(path)
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    other = str(arrays["about"]).replace("keras_pli.Traversal", "keras_pli.Way")
    np.savez(tmp_path / "other.npz", **{**arrays, "about": other})
    with pytest.raises(ValueError, match=r"other.npz' is not a stored Traversal"):
        Traversal.load(tmp_path / "other.npz")
    del arrays["log_odds"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(
        ValueError, match=r"less.npz' is not a stored Traversal: it lacks .'log_odds'."
    ):
        Traversal.load(tmp_path / "less.npz")
    np.savez(tmp_path / "bare.npz", x=np.ones(2))
    with pytest.raises(ValueError, match="is not a stored Inversion"):
        Inversion.load(tmp_path / "bare.npz")


def test_a_damaged_file_is_named(tmp_path):
    path = traversal().save(tmp_path / "way.npz")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"way.npz' is not a stored Traversal"):
        Traversal.load(path)
    with pytest.raises(FileNotFoundError):
        Traversal.load(tmp_path / "nowhere.npz")
