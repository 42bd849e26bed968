"""Explanations of one sample, against the direct call of each method."""

import io
import threading

import keras
import numpy as np
import pytest
from PIL import Image

import keras_pli as kp
from keras_pli.studio.samples.explanations import Explanations
from keras_pli.studio.samples.fitting_methods import fitting_methods, method_title
from keras_pli.studio.samples.newest_first import NewestFirst, SupersededError
from keras_pli.studio.samples.sample_rationales import SampleRationales

layers = keras.layers
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def x():
    x = RNG.random((6, 8, 8, 3)).astype(np.float32)
    x[5] = 0
    return x


@pytest.fixture(scope="module")
def explanations(classifier, x):
    return Explanations(classifier, x, class_names=["cat", "dog", "owl"])


def test_maps_are_those_of_the_direct_call(explanations, classifier, x):
    found = explanations.of(4, ["deep_lift"], target=2)
    (each,) = found.maps
    direct = kp.attribution.DeepLIFT(classifier)(x[4:5], 2)
    np.testing.assert_allclose(each.found.attributions, direct.attributions, atol=1e-6)
    assert each.score == pytest.approx(float(direct.scores[0]), rel=1e-4)
    assert Image.open(io.BytesIO(each.png)).format == "PNG"
    assert (found.target, each.title) == (2, "DeepLIFT")
    assert each.note == (
        "The values add up to the score above that of an input of zeros. Summed over 3 channels."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["integrated_gradients", "grad_cam", "occlusion"])
def test_maps_of_the_default_methods(explanations, classifier, x, name):
    (each,) = explanations.of(4, [name], target=2).maps
    direct = kp.attribution.find_method(name)(classifier)(x[4:5], 2)
    np.testing.assert_allclose(each.found.attributions, direct.attributions, atol=1e-6)
    assert ("Made of 6 × 6 places" in each.note) == (name == "grad_cam")


def test_methods_are_kept_between_clicks(explanations, monkeypatch):
    explanations.of(0, ["deep_lift"], target=1)

    def made_again(*_, **__):
        raise AssertionError("the method was made or traced again")

    monkeypatch.setattr(kp.attribution.DeepLIFT, "__init__", made_again)
    monkeypatch.setattr(kp.attribution.DeepLIFT, "compute", made_again)
    explanations.of(1, ["deep_lift"], target=2)


def test_the_classifier_stays_as_it_was(explanations, classifier):
    before = [weights.copy() for weights in classifier.get_weights()]
    explanations.of(0, ["deep_lift"], target=0)
    assert all(map(np.array_equal, before, classifier.get_weights()))


def test_zero_maps_say_so(explanations):
    (found,) = explanations.of(5, ["deep_lift"], target=1).maps
    assert found.note.startswith("Zero everywhere: nothing here speaks for dog.")
    assert "The score is that of the baseline: there is nothing to share out." in found.note


def test_bad_requests(explanations):
    with pytest.raises(ValueError, match=r"Did you mean 'grad_cam'"):
        explanations.of(0, ["grad_camm"])
    with pytest.raises(ValueError, match=r"`target` must be .*less than 3. Received: 3"):
        explanations.of(0, ["deep_lift"], target=3)
    with pytest.raises(ValueError, match=r"`index` must be .*less than 6. Received: 6"):
        explanations.of(6)
    with pytest.raises(ValueError, match=r"Name a method. There are 'saliency'"):
        explanations.of(0, [])


def test_a_method_that_cannot_is_told_beside_those_that_can(explanations, monkeypatch):
    def fails(*_, **__):
        raise ValueError("not today")

    monkeypatch.setattr(explanations._method("grad_cam"), "runner", None)
    monkeypatch.setattr(kp.attribution.GradCAM, "__call__", fails)
    found = explanations.of(0, ["deep_lift", "grad_cam"], target=0)
    assert [each.method for each in found.maps] == ["deep_lift"]
    assert found.refused == (("Grad-CAM", "not today"),)
    with pytest.raises(ValueError, match="Grad-CAM: not today"):
        explanations.of(0, ["grad_cam"], target=0)


class TestWhichMethodsFit:
    def of(self, *stack, shape=(8, 8, 1)):
        model = keras.Sequential([keras.Input(shape), *stack])
        return fitting_methods(model, np.zeros((1, *shape), np.float32))

    def test_all_of_them(self, explanations):
        assert len(explanations.names) == len(kp.attribution.METHODS)
        assert explanations.default == ["integrated_gradients", "grad_cam", "occlusion"]

    def test_what_is_called_fits_and_what_is_refused_raises(self):
        """Every method, called: those that fit explain, and the others say why themselves."""
        stack = [layers.Conv1D(2, 3, activation="tanh"), layers.Flatten(), layers.Dense(2)]
        model, x = keras.Sequential([keras.Input((8, 1)), *stack]), RNG.random((1, 8, 1))
        found = fitting_methods(model, x)
        assert set(found.refused) == {"guided_backprop", "deconvnet", "cam", "guided_grad_cam"}
        for name in ("deep_lift", "grad_cam"):
            assert np.isfinite(
                found.kinds[name](model, **found.options[name])(x).attributions
            ).all()
        for name in ("cam", "guided_backprop"):
            with pytest.raises(ValueError, match=found.refused[name][:20]):
                kp.attribution.find_method(name)(model)(x)

    def test_of_vectors_there_are_no_maps_and_no_regions(self):
        found = self.of(layers.Dense(3, activation="relu"), layers.Dense(2), shape=(5,))
        assert not {"grad_cam", "cam", "lime", "meaningful_perturbation"} & set(found.kinds)
        assert found.default == ["integrated_gradients", "occlusion"]
        assert "no neighbours" in found.refused["lime"]

    def test_volumes(self):
        stack = [layers.Conv3D(2, 3, activation="relu"), layers.GlobalAveragePooling3D()]
        found = self.of(*stack, layers.Dense(2), shape=(24, 24, 24, 1))
        assert found.default == ["integrated_gradients", "grad_cam"]  # hiding would take long

    def average(self):
        inputs = keras.Input((4,))
        parts = [layers.Dense(3, activation="softmax")(inputs) for _ in range(2)]
        return keras.Model(inputs, layers.Average()(parts))

    def test_where_there_are_no_logits_the_output_is_explained(self):
        found = fitting_methods(self.average(), np.ones((1, 4), np.float32))
        assert found.options["gradient_times_input"] == {"score": "output"}

    @pytest.mark.slow
    def test_maps_of_an_output_without_logits(self):
        model, x = self.average(), np.ones((1, 4), np.float32)
        found = Explanations(model, x, class_names=list("abc"))
        (only,) = found.of(0, ["gradient_times_input"]).maps
        assert "no logits can be found" in only.note
        direct = kp.attribution.GradientTimesInput(model, score="output")(x)
        np.testing.assert_allclose(only.found.attributions, direct.attributions, atol=1e-6)

    def of_ids(self):
        stack = [layers.Embedding(9, 2), layers.GlobalAveragePooling1D(), layers.Dense(2)]
        model = keras.Sequential([keras.Input((12,), dtype="int32"), *stack])
        return model, RNG.integers(0, 9, (2, 12)).astype(np.int32)

    def test_ids_are_explained_at_their_embedding(self):
        found = Explanations(*self.of_ids(), class_names=["a", "b"])
        assert found.fitting.options["integrated_gradients"]["embeddings"] == "sum"
        assert "embeddings" not in found.fitting.options["grad_cam"]
        assert "guided_grad_cam" in found.fitting.refused
        with pytest.raises(
            ValueError, match=r"DeepLIFT does not fit this classifier. It is for inputs"
        ):
            found.of(0, ["deep_lift"])

    @pytest.mark.slow
    def test_maps_of_ids(self):
        model, ids = self.of_ids()
        found = Explanations(model, ids, class_names=["a", "b"])
        (only,) = found.of(1, ["integrated_gradients"], target=1).maps
        direct = kp.attribution.IntegratedGradients(model, embeddings="sum")(ids[1:], 1)
        np.testing.assert_allclose(only.found.attributions, direct.attributions, atol=1e-6)

    def test_several_outputs_are_refused(self):
        inputs = keras.Input((4,))
        heads = [layers.Dense(2, name=name)(inputs) for name in ("left", "right")]
        model = keras.Model(inputs, heads, name="two_heads")
        with pytest.raises(ValueError, match=r"'two_heads' has 2: 'left', 'right'"):
            Explanations(model, np.zeros((1, 4)), class_names=["a", "b"]).of(0)

    def of_two(self):
        image, table = keras.Input((8, 8, 1)), keras.Input((3,))
        merged = layers.Concatenate()([table, layers.Flatten()(image)])
        return keras.Model([table, image], layers.Dense(2)(merged))

    def test_several_inputs(self):
        x = [np.ones((2, 3), np.float32), np.ones((2, 8, 8, 1), np.float32)]
        found = fitting_methods(self.of_two(), x)
        assert "deep_lift" in found.kinds
        for name in ("grad_cam", "occlusion", "lime"):
            assert "single input" in found.refused[name]

    @pytest.mark.slow
    def test_of_several_inputs_the_one_that_can_be_shown_is_drawn(self):
        model = self.of_two()
        x = [np.ones((2, 3), np.float32), RNG.random((2, 8, 8, 1)).astype(np.float32)]
        found = Explanations(model, x, class_names=["a", "b"])
        (only,) = found.of(1, ["gradient_times_input"], target=0).maps
        direct = kp.attribution.GradientTimesInput(model)([part[1:] for part in x], 0)
        np.testing.assert_allclose(only.found.attributions[1], direct.attributions[1], atol=1e-6)

    @pytest.mark.slow
    def test_one_sigmoid_unit(self):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])
        x = np.array([[1.0, 2.0, -1.0, 0.5]], np.float32)
        found = Explanations(model, x, class_names=["no", "yes"])
        z = x @ model.get_weights()[0]
        assert found.of(0, ["gradient_times_input"]).target == int(z[0, 0] > 0)
        for target, sign in ((1, 1), (0, -1)):
            (only,) = found.of(0, ["gradient_times_input"], target=target).maps
            np.testing.assert_allclose(
                only.found.attributions, sign * x * model.get_weights()[0].T, rtol=1e-5
            )


def test_titles():
    assert method_title("epsilon_lrp") == "ε-LRP"
    assert method_title("meaningful_perturbation") == "Meaningful perturbation"


class TestRationales:
    @pytest.fixture
    def networks(self):
        keras.utils.set_random_seed(0)
        stack = [layers.Dense(16, "tanh"), layers.Reshape((4, 4, 1))]
        generator = keras.Sequential([keras.Input((3,)), *stack])
        encoder = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
        stack = [layers.Flatten(), layers.Dense(3, "softmax")]
        return generator, encoder, keras.Sequential([keras.Input((4, 4, 1)), *stack])

    @pytest.fixture
    def images(self, networks):
        return networks[0](RNG.normal(size=(3, 3))).numpy()

    @pytest.mark.slow
    def test_equal_to_the_direct_call(self, networks, images):
        given = kp.RationaleGenerator(*networks, steps=30)
        found = SampleRationales(given, networks[2], images, class_names=("0", "1", "2")).of(1)
        direct = given(images[1:2])
        np.testing.assert_allclose(found.found.images, direct.images, atol=1e-5)
        assert (found.status, found.words) == (str(direct.status[0]), direct.verdicts[0])
        assert [Image.open(io.BytesIO(png)).format for png in found.pngs] == ["PNG", "PNG"]

    @pytest.mark.slow
    def test_words_have_names_and_the_rounds_own_classifier_is_explained(self, networks, images):
        generator, encoder, given_for = networks
        retrained = keras.models.clone_model(given_for)
        retrained.set_weights([-weights for weights in given_for.get_weights()])
        given = kp.RationaleGenerator(generator, encoder, given_for, steps=20, confidence=0.6)
        found = SampleRationales(given, retrained, images, class_names=("a", "b", "c"))
        why = found._generator(images[:1])
        assert why.classifier is retrained
        assert (why.settings.steps, why.settings.confidence) == (20, 0.6)
        assert found.of(0).words[0] in "abc"

    def test_no_such_sample(self, networks, images):
        found = SampleRationales(kp.RationaleGenerator(*networks), networks[2], images)
        with pytest.raises(ValueError, match=r"`index` must be .*less than 3. Received: 3"):
            found.of(3)


class TestNewestFirst:
    def test_of_those_that_wait_only_the_newest_is_done(self):
        lane, begun, go_on = NewestFirst(), threading.Event(), threading.Event()
        done, dropped = [], []

        def work(name):
            if name == "first":
                begun.set()
                assert go_on.wait(10)
            done.append(name)

        def ask(name):
            try:
                lane.run(lambda: work(name))
            except SupersededError as error:
                assert str(error) == "superseded"
                dropped.append(name)

        first, second, third = (
            threading.Thread(target=ask, args=(name,)) for name in ("first", "second", "third")
        )
        first.start()
        assert begun.wait(10)
        second.start()
        while not lane._waiting:
            second.join(0.001)
        third.start()
        second.join(10)  # it is told at once, while the first one still works
        assert dropped == ["second"] and not done
        go_on.set()
        first.join(10)
        third.join(10)
        assert done == ["first", "third"]

    def test_who_else_asks_loses_nothing(self):
        lane, begun, go_on, done = NewestFirst(), threading.Event(), threading.Event(), []

        def busy():
            begun.set()
            assert go_on.wait(10)

        threads = [threading.Thread(target=lane.run, args=(busy,))]
        threads += [
            threading.Thread(
                target=lane.run, args=(lambda n=name: done.append(n),), kwargs={"asker": name}
            )
            for name in ("one page", "another page")
        ]
        threads[0].start()
        assert begun.wait(10)
        for thread in threads[1:]:
            thread.start()
        while len(lane._waiting) < 2:
            threads[1].join(0.001)
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert sorted(done) == ["another page", "one page"] and not lane._waiting

    def test_work_that_fails_leaves_the_lane_free(self):
        lane = NewestFirst()
        with pytest.raises(ZeroDivisionError):
            lane.run(lambda: 1 / 0)
        assert lane.run(lambda: 3) == 3
