"""Ids beside numbers, and tokens: explained at the vectors that an embedding gives for them."""

import keras
import numpy as np
import pytest

from keras_pli.attribution import (
    CAM,
    LIME,
    DeepLIFT,
    EpsilonLRP,
    GradientTimesInput,
    GuidedBackprop,
    GuidedIntegratedGradients,
    IntegratedGradients,
    InteriorGradients,
    MeaningfulPerturbation,
    Occlusion,
    Saliency,
    SmoothGrad,
)

LAYERS = keras.layers
AGES = np.float32([0.3, -1.0, 2.0, 0.7])
CITIES = np.array([1, 4, 2, 1])


def drawn(model, seed=0):
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def table(*hidden, **options):
    """A model of an age and a city's id, each a single number for a sample."""
    age, city = keras.Input((), name="age"), keras.Input((), dtype="int32", name="city")
    vector = LAYERS.Embedding(5, 3, name="vectors", **options)(city)
    joined = LAYERS.Concatenate()([LAYERS.Reshape((1,))(age), vector])
    for layer in hidden:
        joined = layer(joined)
    return drawn(keras.Model([age, city], LAYERS.Dense(2, "softmax", name="head")(joined)))


def in_numpy(model, age, vector, target=1):
    """The logit of a `table` with a tanh layer, in float64, from ages and vectors."""
    _, w1, b1, w2, b2 = (np.asarray(weight, np.float64) for weight in model.get_weights())
    joined = np.concatenate([np.asarray(age, np.float64)[:, None], vector], axis=1)
    return (np.tanh(joined @ w1 + b1) @ w2 + b2)[:, target]


def slopes(model, age, vector, step=1e-5):
    """∂S/∂age and ∂S/∂vector by central differences."""
    found = []
    for place in range(4):
        moved = []
        for sign in (step, -step):
            ages, vectors = np.array(age, np.float64), np.array(vector, np.float64)
            if place == 0:
                ages += sign
            else:
                vectors[:, place - 1] += sign
            moved.append(in_numpy(model, ages, vectors))
        found.append((moved[0] - moved[1]) / (2 * step))
    return found[0], np.stack(found[1:], axis=1)


@pytest.fixture(scope="module")
def curved():
    return table(LAYERS.Dense(8, "tanh"))


class TestIdsBesideNumbers:
    @pytest.mark.parametrize(
        "kinds",
        [
            (Saliency, IntegratedGradients, DeepLIFT),
            pytest.param(
                (
                    SmoothGrad,
                    InteriorGradients,
                    GradientTimesInput,
                    EpsilonLRP,
                    GuidedIntegratedGradients,
                ),
                marks=pytest.mark.slow,
            ),
        ],
        ids=["few", "others"],
    )
    def test_linear_models_are_explained_in_closed_form(self, kinds):
        """Of w·v(c), a path or a secant gives w·(v(c) − v(b)), and a gradient the sum of w."""
        model = table()
        vectors, kernel, _ = model.get_weights()
        weights, x = kernel[1:, 1], [AGES, CITIES]
        plain, steps = np.full(4, weights.sum()), {"steps": 8}
        whole = vectors[CITIES] @ weights
        rise = whole - vectors[3] @ weights
        wanted = {
            **dict.fromkeys([Saliency, SmoothGrad, InteriorGradients], plain),
            **dict.fromkeys([GradientTimesInput, EpsilonLRP], whole),
            **dict.fromkeys([IntegratedGradients, GuidedIntegratedGradients, DeepLIFT], rise),
        }
        options = {
            SmoothGrad: {"samples": 3},
            InteriorGradients: steps,
            IntegratedGradients: steps,
            GuidedIntegratedGradients: steps,
        }
        start = [np.float32(0), 3]
        for kind in kinds:
            method = kind(model, embeddings="sum", **options.get(kind, {}))
            given = {"baseline": start} if method.takes_baseline else {}
            found = method(x, 1, **given)
            np.testing.assert_allclose(found.attributions[1], wanted[kind], rtol=2e-5, atol=1e-5)
            if found.delta is not None and not isinstance(method, EpsilonLRP):
                np.testing.assert_allclose(found.delta, 0, atol=1e-5)

    def test_gradients_equal_differences_in_the_space_of_the_vectors(self, curved):
        vectors = curved.get_weights()[0][CITIES]
        by_age, by_vector = slopes(curved, AGES, vectors)
        saliency = Saliency(curved, embeddings="sum")([AGES, CITIES], 1)
        np.testing.assert_allclose(saliency.attributions[0], by_age, atol=1e-4)
        np.testing.assert_allclose(saliency.attributions[1], by_vector.sum(axis=1), atol=1e-4)
        product = GradientTimesInput(curved, embeddings="sum")([AGES, CITIES], 1)
        np.testing.assert_allclose(
            product.attributions[1], (by_vector * vectors).sum(axis=1), atol=1e-4
        )

    def test_integrated_gradients_equal_the_sum_over_the_path_by_hand(self, curved):
        """Captum's definition: the path runs from the baseline's vectors to those of the ids."""
        own, start = (curved.get_weights()[0][ids] for ids in (CITIES, [0, 0, 0, 0]))
        steps, by_age, by_vector = 16, 0.0, 0.0
        for alpha in (np.arange(steps) + 0.5) / steps:
            of_age, of_vector = slopes(curved, alpha * AGES, start + alpha * (own - start))
            by_age += of_age * AGES / steps
            by_vector += (of_vector * (own - start)).sum(axis=1) / steps
        method = IntegratedGradients(curved, embeddings="sum", steps=steps, batch_size=6)
        found = method([AGES, CITIES], 1)
        np.testing.assert_allclose(found.attributions[0], by_age, atol=1e-4)
        np.testing.assert_allclose(found.attributions[1], by_vector, atol=1e-4)
        rise = in_numpy(curved, AGES, own) - in_numpy(curved, 0 * AGES, start)
        np.testing.assert_allclose(found.delta, by_age + by_vector - rise, atol=1e-4)

    @pytest.mark.slow
    def test_what_several_baselines_give_is_averaged(self):
        model, starts = table(), [[np.float32(0.5), 3], [np.float32(-1), 2]]
        vectors, kernel, _ = model.get_weights()
        method = IntegratedGradients(model, embeddings="sum", steps=2, baselines=starts)
        found = method([AGES, CITIES], 1)
        ages = kernel[0, 1] * (AGES - np.mean([0.5, -1]))
        cities = (vectors[CITIES] - vectors[[3, 2]].mean(axis=0)) @ kernel[1:, 1]
        np.testing.assert_allclose(found.attributions[0], ages, rtol=1e-4)
        np.testing.assert_allclose(found.attributions[1], cities, rtol=1e-4)
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)

    @pytest.mark.slow
    def test_compiled_by_xla_and_in_half_precision(self, curved):
        x = {"age": AGES, "city": CITIES}
        plain = Saliency(curved, embeddings="sum")(x, 1).attributions
        fast = Saliency(curved, embeddings="sum", jit_compile=True)(x, 1).attributions
        np.testing.assert_allclose(fast["city"], plain["city"], atol=1e-5)
        half = table(LAYERS.Dense(8, "tanh"), dtype="mixed_float16")
        found = Saliency(half, embeddings="sum")(x, 1).attributions
        assert found["city"].dtype == np.float32
        np.testing.assert_allclose(found["city"], plain["city"], atol=0.05)

    @pytest.mark.parametrize("kind", [Saliency, IntegratedGradients, DeepLIFT, SmoothGrad])
    def test_zeros_are_refused_and_what_to_do_is_said(self, kind, curved):
        with pytest.raises(ValueError, match=r"no gradient by the input 'city'.*embeddings='sum'"):
            kind(curved)([AGES, CITIES], 1)

    def test_an_input_that_the_score_does_not_depend_on_is_zero(self):
        used, other = keras.Input((3,)), keras.Input((3,), dtype="int32")
        outputs = [LAYERS.Dense(2)(used), LAYERS.Embedding(4, 2)(other)]
        x = [np.ones((2, 3)), np.ones((2, 3), int)]
        found = Saliency(keras.Model([used, other], outputs), output=0)(x, 1).attributions
        assert (found[0] != 0).all() and (found[1] == 0).all()

    def test_a_mask_that_is_an_input_is_refused(self):
        values, mask = keras.Input((3,)), keras.Input((3,), dtype="bool", name="there")
        kept = values * keras.ops.cast(mask, "float32")
        model = keras.Model([values, mask], LAYERS.Dense(2)(kept))
        x = [np.ones((2, 3)), np.ones((2, 3), bool)]
        with pytest.raises(
            ValueError, match=r"by the input 'there'.*makes it from its other inputs"
        ):
            Saliency(model)(x, 1)
        with pytest.raises(ValueError, match="has none"):
            Saliency(model, embeddings="sum")(x, 1)

    def test_methods_without_gradients_take_no_embeddings(self, curved):
        for kind in (Occlusion, LIME, CAM):
            with pytest.raises(TypeError, match=f"{kind.__name__} takes no gradients"):
                kind(curved, embeddings="sum")
        with pytest.raises(ValueError, match="`embeddings` must be one of None, 'sum'"):
            Saliency(curved, embeddings="mean")


class TestWhereIdsComeFrom:
    """Each value is put where its id stood."""

    def test_columns_of_one_input(self):
        x = keras.Input((3,), dtype="int32")
        late, early = LAYERS.Embedding(5, 2), LAYERS.Embedding(6, 3)
        joined = LAYERS.Concatenate()([late(x[:, 2]), early(x[:, 0]), late(x[:, 1])])
        model = drawn(keras.Model(x, LAYERS.Dense(2)(joined)))
        ids = np.array([[5, 1, 2], [0, 4, 3]])
        kernel = model.layers[-1].kernel.numpy()[:, 1]
        late, early = late.get_weights()[0], early.get_weights()[0]
        parts = [early[ids[:, 0]] @ kernel[2:5], late[ids[:, 1]] @ kernel[5:]]
        parts.append(late[ids[:, 2]] @ kernel[:2])
        found = GradientTimesInput(model, embeddings="sum")(ids, 1).attributions
        np.testing.assert_allclose(found, np.stack(parts, axis=1), rtol=1e-5)

    def test_numbers_and_ids_in_one_input(self):
        x = keras.Input((3,))
        layer = LAYERS.Embedding(5, 2)
        joined = LAYERS.Concatenate()([x[:, :2], layer(x[:, 2])])
        model = drawn(keras.Model(x, LAYERS.Dense(2)(joined)))
        rows = np.float32([[0.5, -1, 2], [3, 1, 4]])
        kernel, vectors = model.layers[-1].kernel.numpy()[:, 1], layer.get_weights()[0]
        by_id = vectors[rows[:, 2].astype(int)] @ kernel[2:]
        wanted = np.column_stack([rows[:, :2] * kernel[:2], by_id])
        found = GradientTimesInput(model, embeddings="sum")(rows, 1).attributions
        np.testing.assert_allclose(found, wanted, rtol=1e-5)

    @pytest.mark.slow
    def test_one_embedding_for_two_inputs_within_a_subclassed_model(self):
        class Pair(keras.Model):
            def __init__(self):
                super().__init__()
                self.words, self.head = LAYERS.Embedding(6, 3), LAYERS.Dense(2)

            def call(self, inputs):
                first, second = (self.words(part) for part in inputs)
                return self.head(keras.ops.mean(first - 2 * second, axis=1))

        model, x = Pair(), [np.array([[1, 2], [3, 4]]), np.array([[5, 1], [0, 2]])]
        model(x)
        vectors, kernel, _ = drawn(model).get_weights()
        found = GradientTimesInput(model, embeddings="sum")(x, 1).attributions
        for part, ids, factor in zip(found, x, (0.5, -1.0), strict=True):
            np.testing.assert_allclose(part, factor * vectors[ids] @ kernel[:, 1], rtol=1e-5)

    def test_ids_made_of_several_values_are_refused(self):
        x = keras.Input((4,), dtype="int32")
        sums = keras.ops.sum(x, axis=1)
        model = keras.Model(x, LAYERS.Dense(2)(LAYERS.Embedding(9, 2, name="sums")(sums)))
        with pytest.raises(ValueError, match=r"cannot be told which values.*'sums'.*'Sum'"):
            Saliency(model, embeddings="sum")(np.ones((2, 4), int), 1)


def classifier(dtype, **options):
    """Words, of which 0 is padding, to a recurrent layer, as a text classifier has them."""
    words = LAYERS.Embedding(7, 3, mask_zero=True)
    layers = [keras.Input((5,), dtype=dtype), words, LAYERS.GRU(4), LAYERS.Dense(2)]
    return drawn(keras.Sequential(layers))


TOKENS = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 1, 2], [2, 2, 0, 0, 0]])


class TestTokens:
    @pytest.mark.slow
    def test_each_word_has_a_value_and_padding_none(self):
        model = classifier("float32")
        found = IntegratedGradients(model, embeddings="sum", steps=64, batch_size=7)(TOKENS, 1)
        np.testing.assert_array_equal(found.attributions == 0, TOKENS == 0)
        scores = model.predict(np.vstack([TOKENS, np.zeros((1, 5))]), verbose=0)[:, 1]
        missing = found.attributions.sum(axis=1) - (scores[:3] - scores[3])
        np.testing.assert_allclose(found.delta, missing, atol=1e-5)
        saliency = Saliency(model, embeddings="sum")
        alone = [saliency(row[None], 1).attributions[0] for row in TOKENS]
        np.testing.assert_allclose(saliency(TOKENS, 1).attributions, alone, atol=1e-6)

    @pytest.mark.slow
    def test_a_gradient_equals_differences_of_a_words_vector(self):
        model, step = classifier("int32"), 1e-2
        found = Saliency(model, embeddings="sum")(TOKENS[1:2], 1).attributions[0]
        vectors, row = model.get_weights()[0], TOKENS[1]
        for word in range(5):  # the words of this sample are all different
            scores = []
            for sign in (step, -step):
                moved = vectors.copy()
                moved[row[word]] += sign
                model.layers[0].set_weights([moved])
                scores.append(float(model(row[None])[0, 1]))
            assert found[word] == pytest.approx((scores[0] - scores[1]) / (2 * step), abs=2e-3)
        model.layers[0].set_weights([vectors])

    @pytest.mark.slow
    def test_hiding_words_needs_no_gradient(self):
        model = classifier("int32")
        found = Occlusion(model, window=1, stride=1, fill=0)(TOKENS, 1).attributions
        whole = model.predict(TOKENS, verbose=0)[:, 1]
        for word in range(5):
            hidden = TOKENS.copy()
            hidden[:, word] = 0
            falls = whole - model.predict(hidden, verbose=0)[:, 1]
            np.testing.assert_allclose(found[:, word], falls, atol=1e-5)
        lime = LIME(model, segments=np.arange(5), fill=0, samples=50)(TOKENS, 1)
        assert (lime.attributions[TOKENS != 0] != 0).all()
        for method in (Occlusion(model, fill="mean"), LIME(model, segments=np.zeros(5, int))):
            with pytest.raises(ValueError, match="mean of ids"):
                method(TOKENS, 1)
        with pytest.raises(ValueError, match=r"whole numbers.*Received: 0.5"):
            Occlusion(model, fill=0.5)(TOKENS, 1)
        with pytest.raises(ValueError, match="blends real numbers"):
            MeaningfulPerturbation(model)(TOKENS, 1)

    @pytest.mark.slow
    def test_ids_beyond_what_float32_can_tell_apart(self):
        x = keras.Input((2,), dtype="int64")
        vectors = LAYERS.Embedding(7, 3)(x % 7)
        model = drawn(keras.Model(x, LAYERS.Dense(2)(LAYERS.Flatten()(vectors))))
        ids = 2**24 + np.array([[1, 2], [3, 4]])
        vectors, kernel, _ = model.get_weights()
        products = vectors[ids % 7] * kernel[:, 1].reshape(2, 3)
        found = GradientTimesInput(model, embeddings="sum")(ids, 1).attributions
        np.testing.assert_allclose(found, products.sum(axis=-1), rtol=1e-5)
        found = Occlusion(model, window=1, stride=1, fill=2**24)(ids, 1).attributions
        falls = products - vectors[2**24 % 7] * kernel[:, 1].reshape(2, 3)
        np.testing.assert_allclose(found, falls.sum(axis=-1), rtol=1e-4, atol=1e-5)

    def test_rectifiers_behind_an_embedding(self):
        words = LAYERS.Embedding(7, 3)
        layers = [words, LAYERS.Flatten(), LAYERS.Dense(6, "relu"), LAYERS.Dense(2)]
        model = drawn(keras.Sequential([keras.Input((5,), dtype="int32"), *layers]))
        vectors, w1, b1, w2, _ = model.get_weights()
        active = vectors[TOKENS].reshape(3, -1) @ w1 + b1 > 0
        passed = np.where(active, np.maximum(w2[:, 1], 0), 0) @ w1.T
        found = GuidedBackprop(model, embeddings="sum")(TOKENS, 1).attributions
        np.testing.assert_allclose(found, passed.reshape(3, 5, 3).sum(axis=-1), atol=1e-5)
