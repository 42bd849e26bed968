"""The class-latent GAN: its steps by hand, its codes, resumed runs, and the classifier left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.special import expit, log_softmax, softmax

from keras_pli.rationale.class_latent.class_latent_gan import ClassLatentGAN
from keras_pli.replicas import ReplicaRows

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, size=(48, 16, 16, 1)).astype("float32")


def small_classifier(classes=2, seed=1):
    """With layers that training would change: batch normalisation and dropout."""
    keras.utils.set_random_seed(seed)
    stack = [
        keras.Input((16, 16, 1)),
        layers.Conv2D(3, 3, strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(classes, "softmax"),
    ]
    return keras.Sequential(stack)


def small_gan(classifier=None, *, jit_compile=False, **settings):
    chosen = {"structure_size": 4, "block_size": 2, "width": 2, "seed": 3, **settings}
    gan = ClassLatentGAN(classifier or small_classifier(), **chosen)
    gan.compile(learning_rate=1e-3, jit_compile=jit_compile)
    return gan


def everything(gan):
    optimizers = [*gan.generator_optimizer.variables, *gan.adversary_optimizer.variables]
    return [variable.numpy().copy() for variable in [*gan.weights, *optimizers]]


def linear(inputs, weights, activation=None):
    x = keras.Input((inputs,))
    dense = layers.Dense(weights.shape[1], activation, use_bias=False)
    model = keras.Model(x, dense(x))
    dense.set_weights([weights.astype("float32")])
    return model


@pytest.mark.parametrize(
    ("class_weight", "penalty"),
    [
        (2.5, 0.3),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((0.0, 0.0), (0.0, 0.3), (1.0, 0.0), (1.0, 0.3), (2.5, 0.0))
        ),
    ],
)
def test_a_step_is_that_of_equation_1(penalty, class_weight):
    # Points instead of images, every network linear, plain gradient descent: all by hand in NumPy.
    of_g, of_d, of_c = (RNG.normal(size=shape) for shape in ((5, 2), (2, 1), (2, 3)))
    rate, batch = 0.1, 6
    gan = ClassLatentGAN(
        linear(2, of_c, "softmax"),
        structure_size=3,
        block_size=1,
        generator=linear(5, of_g),
        discriminator=linear(2, of_d),
        class_weight=class_weight,
        penalty_weight=penalty,
        value_range=None,
        seed=2,
    )
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    real = RNG.normal(1, 1, size=(batch, 2)).astype("float32")
    first, _ = gan._draws(ReplicaRows.even(batch), gan._training_key, 0)
    second, labels = (
        draw.numpy() for draw in gan._draws(ReplicaRows.even(batch), gan._training_key, 1)
    )
    logs = tf.function(gan.train_step)(tf.constant(real))

    # max_D log D(x) + log(1 − D(G)), by steps downwards on its negative.
    fake = first.numpy() @ of_g
    loss = -np.log(expit(real @ of_d)).mean() - np.log(1 - expit(fake @ of_d)).mean()
    slope = -(real * (1 - expit(real @ of_d))).mean(0) + (fake * expit(fake @ of_d)).mean(0)
    new_d = of_d - rate * (slope[:, None] + penalty * 2 * of_d)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0], new_d, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["discriminator_loss"], loss, rtol=1e-5)

    # −log D(G) and −log p_c(y | G) on logits.
    fake = second @ of_g
    scores = fake @ of_c
    crossed = -log_softmax(scores, axis=1)[np.arange(batch), labels].mean()
    by_point = -(1 - expit(fake @ new_d)) * new_d.T
    by_point += class_weight * (softmax(scores, axis=1) - np.eye(3)[labels]) @ of_c.T
    new_g = of_g - rate * second.T @ by_point / batch
    np.testing.assert_allclose(gan.generator.get_weights()[0], new_g, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        logs["generator_loss"], -np.log(expit(fake @ new_d)).mean(), rtol=1e-4
    )
    np.testing.assert_allclose(logs["class_loss"], crossed, rtol=1e-5)
    np.testing.assert_allclose(logs["agreement"], (scores.argmax(1) == labels).mean(), rtol=1e-6)


def test_the_classifier_stays_the_same_bit_by_bit():
    classifier = small_classifier()
    classifier.layers[0].trainable = False
    before = [variable.numpy().tobytes() for variable in classifier.variables]
    said = classifier(X).numpy()
    gan = small_gan(classifier)
    gan.fit(X, epochs=2, batch_size=16, verbose=0)
    assert [variable.numpy().tobytes() for variable in classifier.variables] == before
    np.testing.assert_array_equal(classifier(X).numpy(), said)
    assert [layer.trainable for layer in classifier.layers] == [False] + [True] * 5
    trained = [gan.generator.get_weights(), gan.discriminator.get_weights()]
    fresh = small_gan(classifier)
    started = [fresh.generator.get_weights(), fresh.discriminator.get_weights()]
    for new, old in zip(trained, started, strict=True):
        assert all((one != other).any() for one, other in zip(new, old, strict=True))


@pytest.mark.slow
def test_a_run_that_was_stopped_and_resumed_equals_one_that_was_not(tmp_path):
    whole = small_gan(average_decay=0.9)
    whole.fit(X, epochs=3, batch_size=16, verbose=0)
    part = small_gan(average_decay=0.9)
    part.fit(X, epochs=1, batch_size=16, verbose=0)
    part.save(tmp_path / "gan.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["gan.keras"]
    keras.utils.set_random_seed(99)
    again = ClassLatentGAN.load(tmp_path / "gan.keras")
    again.fit(X, epochs=3, initial_epoch=1, batch_size=16, verbose=0)
    for one, other in zip(everything(whole), everything(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert whole.best_generator is whole.averaged
    assert (whole.averaged.get_weights()[0] != whole.generator.get_weights()[0]).any()
    with pytest.raises(TypeError, match="does not hold a ClassLatentGAN, but a Functional"):
        whole.generator.save(tmp_path / "generator.keras")
        ClassLatentGAN.load(tmp_path / "generator.keras")


@pytest.fixture(scope="module")
def trained():
    """A GAN after an epoch without XLA, and its logs."""
    gan = small_gan()
    return gan, gan.fit(X, epochs=1, batch_size=16, verbose=0).history


@pytest.mark.slow
def test_graph_and_xla_agree(trained):
    gan = small_gan(jit_compile=True)
    logs = gan.fit(X, epochs=1, batch_size=16, verbose=0).history
    for one, other in zip(everything(trained[0]), everything(gan), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    for name, values in trained[1].items():
        np.testing.assert_allclose(values, logs[name], rtol=1e-3)


@pytest.mark.slow
def test_training_is_in_float32_whatever_the_policy(trained):
    classifier = small_classifier()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        gan = small_gan(classifier)
        gan.fit(X, epochs=1, batch_size=16, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(everything(trained[0]), everything(gan), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_training_with_the_weights_kept():
    gan = small_gan(value_range=None)
    gan.fit(X, epochs=1, batch_size=16, verbose=0)
    before = everything(gan)[:-1]
    with pytest.raises(FloatingPointError, match="not finite in step 3"):
        gan.fit(3e38 * X, epochs=5, initial_epoch=1, batch_size=16, verbose=0)
    networks = gan.generator.get_weights() + gan.discriminator.get_weights()
    assert all(np.isfinite(weights).all() for weights in networks)
    for old, new in zip(before, everything(gan), strict=False):
        if old.dtype == np.float32 and old.ndim:
            np.testing.assert_array_equal(old, new)
    gan.fit(X, epochs=1, batch_size=16, verbose=0)  # it can go on


def test_codes_and_images_of_classes():
    gan = small_gan(small_classifier(3), block_size=2)
    assert gan.scheme.class_size == 4 and gan.generator.input_shape == (None, 8)
    codes = gan.sample_codes(40, [0, 1, 2, 2] * 10, seed=4)
    assert (codes.z2[codes.labels == 0] == 0).all()
    assert (codes.z2[codes.labels == 1][:, 2:] == 0).all() and (
        codes.z2[codes.labels == 1][:, :2] != 0
    ).all()
    np.testing.assert_array_equal(gan.sample_codes(40, [0, 1, 2, 2] * 10, seed=4).z1, codes.z1)
    assert set(gan.sample_codes(60, seed=1).labels) == {0, 1, 2}
    images = gan.decode(codes.z1, codes.z2)
    joined = np.concatenate([codes.z1, codes.z2], axis=1)
    np.testing.assert_allclose(images, gan.generator(joined), atol=1e-5)
    # One structure in two classes: the negative twin depends on the structure alone.
    twins = [gan.generate(codes.z1[:2], 0, seed=seed) for seed in (1, 2)]
    np.testing.assert_array_equal(*twins)
    others = [gan.generate(codes.z1[:2], 2, seed=seed) for seed in (1, 2)]
    assert (others[0] != others[1]).any() and (others[0] != twins[0]).any()


@pytest.mark.slow
def test_an_image_does_not_depend_on_the_others_of_its_batch():
    gan = small_gan()
    z1, z2, _ = gan.sample_codes(5, 1)
    together = gan.decode(z1, z2)
    alone = np.concatenate([gan.decode(z1[[row]], z2[[row]]) for row in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.slow
def test_held_out_images_are_measured_with_the_same_codes_each_time():
    gan = small_gan()
    logs = gan.fit(X, epochs=1, batch_size=16, validation_data=X[:20], verbose=0).history
    assert {name for name in logs if name.startswith("val_")} == {
        f"val_{name}" for name in gan.logged
    }
    before = everything(gan)
    one, again = (gan.evaluate(X[:20], 16, verbose=0, return_dict=True) for _ in range(2))
    assert one == again
    np.testing.assert_allclose(one["agreement"], logs["val_agreement"][0])
    networks = len(gan.generator.weights) + len(gan.discriminator.weights)
    for old, new in zip(before[:networks], everything(gan)[:networks], strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_it_learns_to_draw_classes():
    # Images all dark or all bright, which is the class; agreement begins near a half.
    random = np.random.default_rng(1)
    bright = random.random(256) < 0.5
    images = np.where(bright, 0.5, -0.5)[:, None, None, None] + 0.1 * random.normal(
        size=(256, 16, 16, 1)
    )
    classifier = keras.Sequential([keras.Input((16, 16, 1)), layers.GlobalAveragePooling2D()])
    classifier.add(layers.Dense(1, "sigmoid"))
    classifier.layers[-1].set_weights([np.array([[8.0]]), np.array([0.0])])
    gan = ClassLatentGAN(classifier, structure_size=4, block_size=6, width=4, seed=1)
    gan.compile(learning_rate=3e-3)
    gan.fit(np.clip(images, -1, 1), epochs=25, batch_size=32, verbose=0)
    z1 = gan.sample_codes(200, 0, seed=8).z1
    for label in (0, 1):
        means = gan.generate(z1, label, seed=9).mean(axis=(1, 2, 3))
        assert ((means > 0) == label).mean() > 0.9


@pytest.mark.slow
def test_what_does_not_fit_is_refused():
    classifier = small_classifier()
    with pytest.raises(ValueError, match="generator's output must have the shape"):
        small_gan(classifier, generator=linear(6, np.ones((6, 3))))
    with pytest.raises(ValueError, match=r"discriminator's output must have the shape \(1,\)"):
        small_gan(classifier, discriminator=classifier)
    with pytest.raises(ValueError, match="`class_shares` must be 2 numbers"):
        small_gan(classifier, class_shares=[0.2, 0.2])
    with pytest.raises(ValueError, match="must have an optimizer each"):
        optimizer = keras.optimizers.Adam()
        small_gan(classifier).compile(optimizer, optimizer)
    with pytest.raises(ValueError, match="Found values from"):
        small_gan(classifier).fit(3 * X, verbose=0)
    with pytest.raises(ValueError, match=r"`labels` must be classes from 0 to 1\. Received: 5"):
        small_gan(classifier).sample_codes(3, 5)
