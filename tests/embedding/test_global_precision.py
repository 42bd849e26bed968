import keras
import numpy as np
import pytest
from small_maps import QUICK, few_digits, make

from keras_pli.embedding import MapDecoder


@pytest.fixture
def float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["uniform", "umap"])
@pytest.mark.slow
def test_maps_and_decoders_keep_their_own(kind):
    z = few_digits()
    model = make(kind)
    model.fit(z, **QUICK)
    assert model.predict(z, verbose=0).dtype == np.float32
    decoder = MapDecoder(model, hidden_units=(8,), seed=0)
    history = decoder.fit(z, epochs=2, verbose=0).history
    assert 0 < history["val_error"][-1] < 2
    assert np.isfinite(decoder.predict(model.predict(z, verbose=0), verbose=0)).all()
