"""Training of the GAN: what a step does, that a run can be resumed, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_pli.rationale.generators.wgan import WassersteinGAN
from keras_pli.replicas import ReplicaRows

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, size=(96, 16, 16, 1)).astype("float32")


def small_gan(seed=3, *, jit_compile=False, **settings):
    gan = WassersteinGAN((16, 16, 1), latent_size=6, width=3, seed=seed, **settings)
    gan.compile(learning_rate=1e-3, jit_compile=jit_compile)
    return gan


def everything(gan):
    """All that a run depends on, as arrays."""
    optimizers = [*gan.generator_optimizer.variables, *gan.adversary_optimizer.variables]
    return [variable.numpy().copy() for variable in [*gan.variables, *optimizers]]


def assert_same(one, other):
    for first, second in zip(everything(one), everything(other), strict=True):
        np.testing.assert_array_equal(first, second)


def blobs(samples, seed=0):
    """16 × 16 images of one disc each, at one of two places: two modes."""
    random = np.random.default_rng(seed)
    centre = np.where(random.random(samples) < 0.5, 4.5, 10.5)[:, None, None]
    centre = centre + random.normal(0, 0.4, (samples, 1, 1))
    y, x = np.mgrid[:16, :16]
    distance = np.hypot(x - centre, y - 7.5)
    return np.tanh(3.0 - distance)[..., None].astype("float32")


class VectorCritic:
    """A linear critic and a generator of points, whose every update can be worked out by hand."""

    def __init__(self, weights):
        codes, points = keras.Input((2,)), keras.Input((2,))
        shift = layers.Dense(2, kernel_initializer="identity", name="shift")
        score = layers.Dense(1, use_bias=False, name="score")
        self.generator = keras.Model(codes, shift(codes))
        self.critic = keras.Model(points, score(points))
        self.critic.set_weights([np.array(weights, "float32")[:, None]])


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_a_step_updates_the_critic_on_different_images_and_then_the_generator(critic_steps):
    # With f(x) = w·x and plain gradient descent: w moves by rate · (mean x − mean x̃ − λ ∂(‖w‖ − 1)²/∂w).
    networks, rate = VectorCritic([0.9, -1.2]), 0.01
    gan = WassersteinGAN(
        (2,),
        generator=networks.generator,
        critic=networks.critic,
        critic_steps=critic_steps,
        value_range=None,
        seed=5,
    )
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
    fakes, drawn = [], gan._draws

    def recorded(*place):
        codes, mix = drawn(*place)
        fakes.append(codes.numpy())
        return codes, mix

    gan._draws = recorded
    gan.run_eagerly = True
    images = RNG.normal(2, 1, size=(critic_steps * 8, 2)).astype("float32")
    logs = gan.train_step(tf.constant(images))
    assert len(fakes) == 2 and len(fakes[1]) == 8

    w, distances, penalties = np.array([0.9, -1.2]), [], []
    for real, fake in zip(
        np.split(images, critic_steps), np.split(fakes[0], critic_steps), strict=True
    ):
        length, gap = np.linalg.norm(w), real.mean(axis=0) - fake.mean(axis=0)
        distances.append(w @ gap)
        penalties.append((length - 1) ** 2)
        w = w + rate * (gap - 10 * 2 * (length - 1) * w / length)
    np.testing.assert_allclose(gan.critic.get_weights()[0][:, 0], w, rtol=1e-5)
    np.testing.assert_allclose(logs["critic_distance"], np.mean(distances), rtol=1e-5)
    np.testing.assert_allclose(logs["gradient_penalty"], np.mean(penalties), rtol=1e-4)
    # The generator's bias follows the critic's new slope, by all of the batch on average.
    np.testing.assert_allclose(gan.generator.get_weights()[1], rate * w, rtol=1e-5)
    np.testing.assert_allclose(logs["generator_loss"], -(fakes[1] @ w).mean(), rtol=1e-5)


@pytest.mark.slow
def test_a_linear_critic_finds_the_distance_of_two_points():
    # With the slope s along their distance d, s d − λ (s − 1)² is largest at s = 1 + d / 2λ.
    dense = layers.Dense(2, kernel_initializer="zeros", trainable=False)
    generator = keras.Sequential([keras.Input((2,)), dense])
    start = keras.initializers.GlorotUniform(0)
    critic = keras.Sequential([keras.Input((2,)), layers.Dense(1, kernel_initializer=start)])
    gan = WassersteinGAN(
        (2,), generator=generator, critic=critic, penalty_weight=20.0, value_range=None
    )
    gan.compile("sgd", keras.optimizers.SGD(0.02))
    gan.fit(np.tile([[3.0, 4.0]], (512, 1)), epochs=30, batch_size=16, verbose=0)
    found = gan.evaluate(np.array([[3.0, 4.0]]), verbose=0, return_dict=True)
    assert found["critic_distance"] == pytest.approx(5 * (1 + 5 / 40), rel=0.01)
    assert found["gradient_penalty"] == pytest.approx((5 / 40) ** 2, rel=0.1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def whole_run(saved):
    """A GAN trained for four epochs in one go, its logs, and the generator's weights on the way.

    It is saved after each epoch.
    """
    gan = small_gan(average_decay=0.5)
    seen = [gan.generator.get_weights()]
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(gan.generator.get_weights())
    )
    save = keras.callbacks.ModelCheckpoint(saved / "{epoch}.keras")
    history = gan.fit(X, epochs=4, batch_size=8, verbose=0, callbacks=[note, save]).history
    return gan, history, seen


def test_a_stored_run_that_is_continued_equals_the_whole_one(saved, whole_run):
    keras.utils.set_random_seed(123)  # which must not matter
    second = WassersteinGAN.load(saved / "2.keras")
    second.fit(X, epochs=4, initial_epoch=2, batch_size=8, verbose=0)
    assert_same(whole_run[0], second)
    np.testing.assert_array_equal(whole_run[0].generate(3, seed=1), second.generate(3, seed=1))


@pytest.mark.slow
def test_an_interrupted_run_that_is_continued_equals_one_that_was_not(tmp_path, whole_run):
    keras.utils.set_random_seed(123)  # which must not matter
    first = small_gan(average_decay=0.5)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "gan.keras")
    first.fit(X, epochs=2, batch_size=8, verbose=0, callbacks=checkpoint)
    second = WassersteinGAN.load(tmp_path / "gan.keras")
    assert_same(first, second)
    second.fit(X, epochs=4, initial_epoch=2, batch_size=8, verbose=0)
    assert_same(whole_run[0], second)
    np.testing.assert_array_equal(whole_run[0].generate(3, seed=1), second.generate(3, seed=1))
    first.fit(X, epochs=2, batch_size=8, verbose=0)
    assert_same(whole_run[0], first)


@pytest.mark.slow
def test_keras_backups_resume_exactly(tmp_path, whole_run):
    class Stopping(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.steps_done == 2 * whole_run[0].steps_done // 4 + 1:  # in the third epoch
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    with pytest.raises(KeyboardInterrupt):
        small_gan(average_decay=0.5).fit(
            X, epochs=4, batch_size=8, verbose=0, callbacks=[backup(), Stopping()]
        )
    again = small_gan(average_decay=0.5)
    again.fit(X, epochs=4, batch_size=8, verbose=0, callbacks=backup())
    assert_same(whole_run[0], again)
    with pytest.raises(ValueError, match="save_freq=3"):
        again.fit(X, callbacks=keras.callbacks.BackupAndRestore(tmp_path, save_freq=3))
    start = keras.Sequential(
        [keras.Input(again.image_shape), layers.Flatten(), layers.Dropout(0.5), layers.Dense(1)]
    )
    with pytest.raises(ValueError, match="no state of the layers that draw at random, '"):
        WassersteinGAN(again.image_shape, latent_size=4, width=2, critic=start).fit(
            X, callbacks=[backup()]
        )


@pytest.mark.slow
def test_what_is_saved_keeps_how_it_was_compiled(tmp_path):
    gan = WassersteinGAN((16, 16, 1), latent_size=4, width=2, critic_steps=2, penalty_weight=5.0)
    gan.compile(keras.optimizers.RMSprop(0.01), learning_rate=0.3, betas=(0.4, 0.8))
    gan.save(tmp_path / "gan.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["gan.keras"]
    again = keras.saving.load_model(tmp_path / "gan.keras")
    assert isinstance(again.generator_optimizer, keras.optimizers.RMSprop)
    config = again.adversary_optimizer.get_config()
    assert (config["beta_1"], config["beta_2"]) == (0.4, 0.8)
    assert config["learning_rate"] == pytest.approx(0.3)
    assert (again.critic_steps, again.penalty_weight, again.latent_size) == (2, 5.0, 4)
    assert again.jit_compile is False and again.averaged is None


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"A WassersteinGAN is saved to '\.keras'.*gan\.h5"):
        small_gan().save(tmp_path / "gan.h5")
    keras.Sequential([keras.Input((2,)), layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(TypeError, match="not hold a WassersteinGAN, but a Sequential"):
        WassersteinGAN.load(tmp_path / "other.keras")


@pytest.mark.slow  # XLA compiles it for seconds
def test_with_and_without_xla_training_is_the_same(whole_run):
    plain, one, _ = whole_run
    compiled = small_gan(jit_compile=True, average_decay=0.5)
    other = compiled.fit(X, epochs=4, batch_size=8, verbose=0).history
    for first, second in zip(everything(plain), everything(compiled), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-4)


@pytest.mark.slow
def test_another_seed_gives_other_weights_codes_and_orders():
    one, other = small_gan(3), small_gan(4)
    assert not np.array_equal(one.generate(2), other.generate(2))
    assert one._training_key != other._training_key and one._order_key != other._order_key
    assert not np.array_equal(one.codes(2, seed=0), one.codes(2, seed=1))
    np.testing.assert_array_equal(one.codes(2, seed=1), other.codes(5, seed=1)[:2])


@pytest.mark.slow
def test_an_epoch_shows_every_image_once_and_each_epoch_has_its_own_order():
    gan, seen = small_gan(), []
    step = gan.train_step

    def recorded(images):
        seen.append(images.numpy()[:, 0, 0, 0])
        return step(images)

    gan.train_step, gan.run_eagerly = recorded, True
    images = np.zeros((32, 16, 16, 1), "float32")
    images[:, 0, 0, 0] = np.linspace(-1, 1, 32)
    gan.fit(images, epochs=2, batch_size=4, verbose=0)
    epochs = np.array(seen).reshape(2, 32)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), images[:, 0, 0, 0])
        assert np.any(np.diff(epoch) < 0)
    assert not np.array_equal(*epochs)


@pytest.mark.slow
def test_a_data_set_with_labels_and_other_batches_trains_as_well():
    data = tf.data.Dataset.from_tensor_slices((X, np.zeros(96))).batch(5)
    gan = small_gan()
    history = gan.fit(data, epochs=2, batch_size=4, validation_data=data, verbose=0).history
    assert int(gan.steps_done.numpy()) == 2 * (96 // 16)
    assert len(history["val_critic_distance"]) == 2


@pytest.mark.slow
def test_held_out_images_are_scored_one_by_one_and_nothing_is_updated():
    gan = small_gan()
    before = everything(gan)
    found = gan.evaluate(X[:20], batch_size=8, verbose=0, return_dict=True)
    assert found == gan.evaluate(X[:20], batch_size=8, verbose=0, return_dict=True)
    for one, other in zip(before, everything(gan), strict=True):
        np.testing.assert_array_equal(one, other)
    # In the last, smaller batch a sample counts as much as in the others.
    keys, fakes = gan._validation_key, []
    for number, count in enumerate((8, 8, 4)):
        fakes.append(gan.generator(gan._draws(ReplicaRows.even(count), keys, number)[0]).numpy())
    scores = (
        gan.critic.predict(X[:20], verbose=0),
        gan.critic.predict(np.concatenate(fakes), verbose=0),
    )
    assert found["critic_distance"] == pytest.approx(
        float(scores[0].mean() - scores[1].mean()), abs=1e-5
    )
    assert found["generator_loss"] == pytest.approx(float(-scores[1].mean()), abs=1e-5)


def test_the_average_is_that_of_the_weights_after_each_step(whole_run):
    gan, _, seen = whole_run
    mean = seen[0]
    for step, weights in enumerate(seen[1:]):
        decay = min(0.5, (1 + step) / (10 + step))
        mean = [decay * old + (1 - decay) * new for old, new in zip(mean, weights, strict=True)]
    assert len(seen) == 13
    for expected, found in zip(mean, gan.averaged.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert gan.best_generator is gan.averaged
    assert small_gan().best_generator.name == "generator"


@pytest.mark.slow
def test_an_update_that_is_no_number_is_not_made_and_ends_the_training():
    @keras.saving.register_keras_serializable(package="test")
    class BreaksAt(layers.Layer):
        """Gives its input until it has run a number of times in training, then NaN."""

        def build(self, shape):
            self.left = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(4.0), trainable=False
            )

        def call(self, x, training=False):
            if training:
                self.left.assign_sub(1.0)
            return x + tf.where(self.left < 0, np.nan, 0.0)

    codes = keras.Input((6,))
    images = layers.Reshape((16, 16, 1))(layers.Dense(256, activation="tanh")(codes))
    generator = keras.Model(codes, BreaksAt()(images))
    gan = small_gan(generator=generator)
    good = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            good.append([weight.copy() for weight in gan.critic.get_weights()])

    # A step runs the generator twice: two steps are good, and the third's first critic update is not.
    with pytest.raises(FloatingPointError, match=r"in step 2; .* last good ones"):
        gan.fit(X, epochs=5, batch_size=8, verbose=0, callbacks=[Note()])
    assert len(good) == 3
    for last, before, kept in zip(good[2], good[1], gan.critic.get_weights(), strict=True):
        np.testing.assert_array_equal(last, before)
        np.testing.assert_array_equal(kept, before)
        assert np.isfinite(kept).all()
    assert all(np.isfinite(values).all() for values in everything(gan))


@pytest.mark.slow
def test_a_learning_rate_beyond_all_bounds_leaves_numbers():
    gan = small_gan()
    gan.compile(learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="learning rate"):
        gan.fit(X, epochs=3, batch_size=8, verbose=0)
    assert all(np.isfinite(weight).all() for weight in gan.get_weights())


@pytest.fixture
def half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.slow
def test_the_default_networks_are_never_in_half_precision(half_precision):
    history = small_gan().fit(X, batch_size=8, verbose=0).history
    assert np.isfinite(history["generator_loss"]).all()


def test_networks_in_half_precision_are_refused(half_precision):
    critic = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Flatten(), layers.Dense(1, name="half")]
    )
    with pytest.raises(ValueError, match=r"float32.*'half'"):
        small_gan(critic=critic)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"critic_steps": 0}, "`critic_steps`.*0"),
        ({"average_decay": 1.0}, "`average_decay`.*1.0"),
        ({"penalty_weight": -1.0}, "`penalty_weight`"),
        ({"seed": -2}, "`seed`.*-2"),
        (
            {"critic": keras.Sequential([keras.Input((16, 16, 1)), layers.Conv2D(1, 3)])},
            r"critic's output.*\(1,\).*\(14, 14, 1\)",
        ),
        (
            {"generator": keras.Sequential([keras.Input((6,)), layers.Dense(4)])},
            r"generator's output.*\(16, 16, 1\).*\(4,\)",
        ),
        ({"generator": keras.Sequential([layers.Dense(4)])}, "not built"),
    ],
)
def test_bad_settings_are_quoted(settings, said):
    with pytest.raises(ValueError, match=said):
        WassersteinGAN((16, 16, 1), **{"latent_size": 4, "width": 2, **settings})


def test_bad_images_are_quoted():
    gan = small_gan()
    with pytest.raises(ValueError, match=r"\[-1, 1\].*from 0 to 255"):
        gan.fit(np.linspace(0, 255, 32 * 256).reshape(32, 16, 16, 1), batch_size=8)
    with pytest.raises(ValueError, match=r"\(samples, 16, 16, 1\).*\(32, 8, 8, 1\)"):
        gan.fit(np.zeros((32, 8, 8, 1)), batch_size=8)
    with pytest.raises(ValueError, match=r"takes 256 images. Received: 96"):
        gan.fit(X)
    with pytest.raises(ValueError, match=r"NaN.*rows 2"):
        gan.fit(np.where(np.arange(96)[:, None, None, None] == 2, np.nan, X), batch_size=8)
    with pytest.raises(ValueError, match="`validation_data`"):
        gan.fit(X, batch_size=8, validation_data=X * 2)
    with pytest.raises(ValueError, match="from -2 to"):
        gan.fit(tf.data.Dataset.from_tensors(np.full((4, 16, 16, 1), -2.0)), batch_size=1)
    with pytest.raises(ValueError, match="share one"):
        optimizer = keras.optimizers.Adam()
        gan.compile(optimizer, optimizer)
    with pytest.raises(ValueError, match=r"`count`.*0"):
        gan.generate(0)


@pytest.mark.slow
def test_it_learns_where_the_blobs_are():
    real, held_out = blobs(2048), blobs(256, seed=1)
    gan = WassersteinGAN((16, 16, 1), latent_size=8, width=8, average_decay=0.98, seed=0)
    gan.compile(learning_rate=1e-3)
    before = np.abs(gan.generate(256).mean(axis=0) - real.mean(axis=0)).mean()
    history = gan.fit(real, epochs=18, batch_size=32, validation_data=held_out, verbose=0).history
    generated = gan.generate(512, seed=9)
    assert history["val_critic_distance"][-1] < 0.4 * max(history["val_critic_distance"])
    assert np.abs(generated.mean(axis=0) - real.mean(axis=0)).mean() < 0.25 * before
    # Both places are met, and an image has its disc at one of them, not half a disc at each.
    sides = (generated[:, :, :8].mean(axis=(1, 2, 3)), generated[:, :, 8:].mean(axis=(1, 2, 3)))
    left = np.mean(sides[0] > sides[1])
    assert 0.25 < left < 0.75
    gap = np.abs(np.subtract(*sides)).mean()
    expected = np.abs(
        real[:, :, :8].mean(axis=(1, 2, 3)) - real[:, :, 8:].mean(axis=(1, 2, 3))
    ).mean()
    assert gap == pytest.approx(expected, rel=0.25)
