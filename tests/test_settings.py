import doctest
import json
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest

from keras_pli import settings
from keras_pli.settings import Settings, choice, group, number, setting


@dataclass(frozen=True)
class Inner(Settings):
    rate: float = field(default=0.5, metadata=number(least=0, below=1))
    limit: float | None = field(default=None, metadata=number(optional=True))


@dataclass(frozen=True)
class Outer(Settings):
    kind: str = field(default="round", metadata=choice("round", "square"))
    inner: Inner = field(default_factory=Inner, metadata=group(Inner))
    loss: object = None
    bounds: tuple = (0, 1)
    names: tuple = field(default=(), metadata=setting(decides=False))


def test_values_are_checked_and_kept_as_checked():
    assert Inner(np.float32(0.25)).rate == 0.25 and type(Inner(np.float32(0.25)).rate) is float
    assert Outer(inner=None).inner == Inner()
    with pytest.raises(ValueError, match=r"`rate` must be a number from 0 and less than 1\. .*: 2"):
        Inner(rate=2)
    with pytest.raises(ValueError, match="`kind` must be one of 'round', 'square'"):
        Outer(kind="oblong")
    with pytest.raises(TypeError, match=r"`inner` must be Inner\(…\)\. Received: float"):
        Outer(inner=0.5)


def test_identity_names_all_that_decides_in_a_form_for_json():
    found = Outer(inner=Inner(limit=3), names=("a",), loss=keras.losses.Huber(0.3)).identity()
    assert list(found) == ["kind", "inner.rate", "inner.limit", "loss", "bounds"]
    assert found["inner.limit"] == 3 and found["bounds"] == [0, 1]
    assert json.loads(json.dumps(found)) == found
    assert found["loss"] != Outer(loss=keras.losses.Huber(0.4)).identity()["loss"]


def test_examples_run():
    found = doctest.testmod(settings)
    assert found.attempted and not found.failed
