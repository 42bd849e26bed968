"""What `import keras_pli as kp` offers, by completion and by `from keras_pli import`."""

import importlib
import inspect
import types

import pytest

import keras_pli as kp

ROOMS = {
    "attribution",
    "callbacks",
    "distributed",
    "embedding",
    "evaluation",
    "inspection",
    "intervention",
    "plotting",
    "rationale",
    "reporting",
    "retraining",
    "serving",
    "studio",
    "synthetic",
    "volume",
}


def test_the_names_listed_are_the_public_ones():
    assert dir(kp) == sorted(kp.__all__)
    assert set(dir(kp)) >= ROOMS | {
        "export",
        "RationaleGenerator",
        "quality",
        "PLIModel",
        "suggest",
    }
    assert not {name for name in dir(kp) if name.startswith("_")} - {"__version__"}
    assert not {"Any", "import_module", "network", "cli", "files"} & set(dir(kp))


@pytest.mark.parametrize("name", kp.__all__)
def test_each_name_is_there(name):
    found = getattr(kp, name)
    if name in ROOMS:
        assert found is importlib.import_module(f"keras_pli.{name}")
    elif isinstance(found, types.ModuleType):
        assert found is kp.embedding.quality
    elif name != "__version__":
        assert found.__name__ == name
        assert found.__module__.startswith("keras_pli.")


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'keras_pli' has no attribute 'ParametricTSN'"):
        kp.ParametricTSN  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'PLIModels'"):
        from keras_pli import PLIModels  # noqa: F401


def test_a_name_of_a_room_is_pointed_to():
    with pytest.raises(AttributeError, match=r"'GradCAM'; it is in keras_pli\.attribution"):
        kp.GradCAM  # noqa: B018
    with pytest.raises(AttributeError, match=r"'StudioServer'; it is in keras_pli\.studio"):
        kp.StudioServer  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        kp.nothing  # noqa: B018


def test_the_studio_is_a_room_and_opens():
    with pytest.raises(TypeError, match="`classifier` must be a Keras model"):
        kp.studio("classifier", [[1.0]], [0])
    assert list(inspect.signature(kp.studio).parameters)[:3] == ["classifier", "x", "labels"]
    assert kp.studio.StudioSession.__module__ == "keras_pli.studio.session.session"
