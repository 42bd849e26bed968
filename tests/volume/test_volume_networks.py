import keras
import numpy as np
import pytest

from keras_pli.volume import transfer_encoder, volume_autoencoder, volume_classifier


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_the_papers_network_has_its_number_of_parameters():
    model = volume_classifier((58, 70, 58))
    assert trainable(model) == 322_818
    assert model.get_layer("flatten").output.shape == (None, 22_400)


@pytest.mark.parametrize(("blocks", "least"), [(1, 4), (2, 10), (3, 22)])
def test_the_least_size_works_and_one_voxel_less_is_refused(blocks, least):
    filters = (2, 3, 4)[:blocks]
    model = volume_classifier((least, least + 1, least), 3, filters=filters)
    assert model.output_shape == (None, 3)
    assert model.get_layer(f"pool_{blocks}").output.shape == (None, 1, 1, 1, filters[-1])
    with pytest.raises(ValueError, match=rf"at least {least} voxels .* Received: \({least}, 9+, "):
        volume_classifier((least, 99, least - 1), filters=filters)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"input_shape": (8, 8)}, r"`input_shape` must be .* Received: \(8, 8\)"),
        ({"classes": 1}, "`classes` must be a whole number from 2"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"filters": ()}, "at least one block"),
        ({"filters": (4, 0)}, "`filters` must be"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        volume_classifier(**{"input_shape": (8, 8, 8), "filters": (2,), **options})


def test_same_seed_same_weights_and_another_seed_others():
    first, again, other = (
        volume_classifier((8, 8, 8), filters=(2,), seed=seed).get_weights() for seed in (3, 3, 4)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("shape", [(10, 11, 12), (13, 10, 15, 2)])
def test_autoencoder_gives_the_shape_it_was_given(shape):
    model = volume_autoencoder(shape, filters=(2, 3))
    full = shape if len(shape) == 4 else (*shape, 1)
    assert model(np.ones((2, *full), "float32")).shape == (2, *full)


def test_transfer_copies_the_encoder_and_nothing_else():
    autoencoder = volume_autoencoder((10, 10, 10), filters=(2, 3), seed=5)
    autoencoder.get_layer("norm_1").moving_mean.assign([0.3, -0.2])
    classifier = volume_classifier((12, 10, 11), filters=(2, 3))
    head = classifier.get_layer("logits").get_weights()
    before = autoencoder.get_weights()
    assert transfer_encoder(autoencoder, classifier) is classifier
    x = np.random.default_rng(0).normal(size=(2, 10, 10, 10, 1)).astype("float32")
    small = volume_classifier((10, 10, 10), filters=(2, 3))
    transfer_encoder(autoencoder, small)
    code = [
        keras.Model(model.input, model.get_layer("pool_2").output)(x, training=False)
        for model in (small, autoencoder)
    ]
    np.testing.assert_allclose(*code, rtol=1e-5, atol=1e-6)
    for kept, now in zip(head, classifier.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    for kept, now in zip(before, autoencoder.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    assert len(classifier.trainable_weights) == 10


def test_frozen_transfer_leaves_the_head_alone_trainable():
    autoencoder = volume_autoencoder((10, 10, 10), filters=(2, 3))
    model = transfer_encoder(
        autoencoder, volume_classifier((10, 10, 10), filters=(2, 3)), freeze=True
    )
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]


def test_transfer_between_other_filters_is_refused_before_anything_is_copied():
    classifier = volume_classifier((10, 10, 10), filters=(2, 4))
    before = classifier.get_weights()
    with pytest.raises(ValueError, match=r"layer 'conv_2' has weights of shapes .*, 4\)"):
        transfer_encoder(volume_autoencoder((10, 10, 10), filters=(2, 3)), classifier)
    with pytest.raises(ValueError, match=r"layer 'norm_1' .* does not exist"):
        transfer_encoder(
            volume_autoencoder((10, 10, 10), filters=(2, 4), batch_norm=False), classifier
        )
    for kept, now in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    with pytest.raises(ValueError, match="`classifier` has no layer `conv_1`"):
        transfer_encoder(classifier, keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def test_logits_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        classifier = volume_classifier((8, 8, 8), filters=(2,))
        autoencoder = volume_autoencoder((8, 8, 8), filters=(2,))
    finally:
        keras.config.set_dtype_policy("float32")
    assert classifier.get_layer("conv_1").compute_dtype == "float16"
    assert classifier.output.dtype == autoencoder.output.dtype == "float32"
