import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_rationale_models import (
    DRAWING,
    LATENT,
    PIXELS,
    drawn,
    exact_encoder,
    linear,
    linear_generator,
    small_models,
)

from keras_pli.rationale.search.rationale_generator import RationaleGenerator
from keras_pli.rationale.search.rationale_settings import Reconstruction, Search

HEADS = np.array([[1.0, -0.5], [0.3, 1.0], [-0.2, 0.4]])
SPREAD = DRAWING @ DRAWING.T  # what a step in the codes does to the image


def logit(p):
    return np.log(p / (1 - p))


@pytest.fixture(scope="module")
def line():
    """A line of images, `codes (samples, 1)`: there is but one way to change them."""
    drawing = np.ones((1, PIXELS), "float32") * np.linspace(0.5, 1.5, PIXELS)
    codes = np.array([[-0.4], [-1.3], [-2.6]], "float32")
    generator = linear_generator(drawing)
    return generator, exact_encoder(drawing), generator(codes).numpy(), codes


@pytest.fixture(scope="module")
def bent():
    """A bent generator with its encoder and a classifier of four classes, and images."""
    models = small_models()
    return models, drawn(models[0], 7)[0]


@pytest.fixture(scope="module")
def plain(bent):
    """A search without any options, and what it finds."""
    models, x = bent
    make = RationaleGenerator(*models)
    return make, make(x)


# Closed forms


def test_where_the_search_settles_is_known():
    weights = HEADS * 2
    generator = linear_generator()
    x, codes = drawn(generator, 5)
    gamma, beta = 40.0, 0.7
    why = RationaleGenerator(
        generator, exact_encoder(), linear(weights), confidence=0.999999, steps=1500,
        learning_rate=0.02, search=Search(
            target_weight=beta, leave="predicted", similarity_weight=gamma,
            similarity_half_life=None,
        ),
    )(x)  # fmt: skip
    predicted = (codes @ weights).argmax(axis=1)
    pull = weights[:, predicted].T - beta * weights[:, 1 - predicted].T
    expected = codes - PIXELS / (2 * gamma) * pull @ np.linalg.inv(SPREAD)
    assert set(why.status) == {"stopped at the limit"} and set(why.steps) == {1500}
    np.testing.assert_allclose(why.codes_start, codes, atol=1e-4)
    # Where gradients are rounding alone, Adam still takes part of a step of 0.02 now and then.
    np.testing.assert_allclose(why.codes, expected, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["softmax", None])
def test_least_change_to_a_logistic_classifier(activation):
    generator = linear_generator()
    x, codes = drawn(generator, 6)
    why = RationaleGenerator(
        generator, exact_encoder(), linear(HEADS, [0.2, -0.1], activation), confidence=0.8,
        search=Search(polish=300, similarity_weight=1.0), learning_rate=0.02,
    )(x)  # fmt: skip
    direction = (HEADS[:, 1] - HEADS[:, 0]) * np.where(why.target == 1, 1, -1)[:, None]
    lead = ((HEADS[:, 1] - HEADS[:, 0]) @ codes.T - 0.3) * np.where(why.target == 1, 1, -1)
    turned = direction @ np.linalg.inv(SPREAD)
    length = (logit(0.8) - lead) / (direction * turned).sum(axis=1)
    least = ((turned * length[:, None] @ DRAWING) ** 2).mean(axis=1)
    assert set(why.status) == {"reached"}
    assert (why.distances >= least * (1 - 1e-3)).all()  # nothing can be nearer
    np.testing.assert_allclose(why.distances, least, rtol=0.02)
    rash = RationaleGenerator(
        generator,
        exact_encoder(),
        linear(HEADS, [0.2, -0.1], activation),
        confidence=0.8,
        search=Search(similarity_weight=0),
    )(x)
    assert (rash.distances > why.distances).all()


@pytest.mark.parametrize(
    "direction, cutoff", [("lower", -5.0), pytest.param("raise", 1.5, marks=pytest.mark.slow)]
)
def test_a_regressor_on_a_line(line, direction, cutoff):
    generator, encoder, x, codes = line
    regressor = linear([[1.5]], [0.5])
    make = RationaleGenerator(generator, encoder, regressor, cutoff=cutoff, direction=direction)
    why = make(x)
    goal = (cutoff - 0.5) / 1.5
    np.testing.assert_allclose(why.codes, np.full((3, 1), goal), atol=2e-3)
    np.testing.assert_allclose(why.path_probabilities[:, -1, 0], cutoff, atol=3e-3)
    np.testing.assert_allclose(why.rationales, generator(codes - goal), atol=5e-3)
    np.testing.assert_allclose(why.flips, why.images, atol=1e-6)
    sign = 1 if direction == "lower" else -1
    assert (sign * why.path_probabilities[:, -1, 0] <= sign * cutoff).all()
    assert why.about["task"] == "regression" and set(why.status) == {"reached"}
    np.testing.assert_allclose(why.predicted, 1.5 * codes[:, 0] + 0.5, atol=1e-4)
    each = make(x, target=[cutoff, cutoff + sign * 0.1, cutoff])
    np.testing.assert_allclose(each.codes[1], goal + sign * 0.1 / 1.5, atol=2e-3)


@pytest.mark.slow
def test_one_sigmoid_unit_is_two_classes_or_a_cutoff(line):
    generator, encoder, x, _ = line
    classifier = linear([[2.0]], [1.0], "sigmoid")
    why = RationaleGenerator(generator, encoder, classifier, confidence=0.95)(x[1:])
    assert why.predicted.tolist() == [0, 0] and why.target.tolist() == [1, 1]
    np.testing.assert_allclose(why.codes, (logit(0.95) - 1) / 2, atol=2e-3)
    np.testing.assert_allclose(why.flip_codes, -0.5, atol=2e-3)
    back = RationaleGenerator(generator, encoder, classifier, cutoff=0.02)(x[:2])
    assert back.about["task"] == "regression"
    np.testing.assert_allclose(back.codes, (logit(0.02) - 1) / 2, atol=2e-3)
    linear_unit = linear([[2.0]], [1.0])
    same = RationaleGenerator(
        generator, encoder, linear_unit, confidence=0.95, task="classification"
    )(x[1:])
    np.testing.assert_allclose(same.codes, why.codes, atol=1e-5)


@pytest.mark.slow
def test_saturated_probabilities_stop_no_search(line):
    generator, encoder, x, _ = line
    steep = linear([[-400.0, 400.0]], [0.0, 0.0], "softmax")
    assert steep.predict(np.array([[-0.4]]), verbose=0)[0, 1] == 0  # no gradient in float32
    assert set(RationaleGenerator(generator, encoder, steep)(x).status) == {"reached"}


@pytest.mark.slow
def test_a_huge_similarity_weight_leaves_no_rationale(bent):
    models, x = bent
    make = RationaleGenerator(
        *models, search=Search(similarity_weight=1e7), steps=300, confidence=0.99
    )
    why = make(x)
    stopped = why.status == "stopped at the limit"
    assert stopped.sum() >= 5
    assert np.abs(why.rationales[stopped]).max() < 0.01


# What the search does


@pytest.mark.slow
def test_no_third_class_takes_over(line):
    heads = np.array([[-1.0, 1.0, 2.0], [0.0, 0.0, -3.0]])
    drawing = np.eye(2, 4, dtype="float32")
    models = linear_generator(drawing), exact_encoder(drawing)
    x = models[0](np.array([[-1.0, 0.0]])).numpy()
    paper, ours = [
        RationaleGenerator(
            *models, linear(heads), steps=300, search=Search(leave=leave, similarity_weight=0)
        )(x, target=1)
        for leave in ("predicted", "strongest")
    ]
    assert paper.status[0] == "stopped at the limit" and paper.path_probabilities[0, -1, 2] > 0.5
    assert ours.status[0] == "reached"


@pytest.mark.parametrize("of_images", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_is_reported_holds(of_images):
    generator, encoder, classifier = small_models(of_images=of_images)
    x, _ = drawn(generator, 9)
    why = RationaleGenerator(
        generator, encoder, classifier, batch_size=4, reconstruction=Reconstruction(refine=20)
    )(x)
    said = classifier(x if of_images else encoder(x)).numpy()
    np.testing.assert_allclose(why.original_probabilities, said, atol=1e-5)
    assert (why.predicted == said.argmax(axis=1)).all()
    assert (why.target == said.argsort(axis=1)[:, -2]).all()  # the runner-up
    for codes, images in (
        (why.codes, why.images),
        (why.codes_start, why.reconstructions),
        (why.flip_codes, why.flips),
    ):
        np.testing.assert_allclose(generator(codes), images, atol=1e-5)
    end = classifier(why.images if of_images else why.codes).numpy()
    rows = np.arange(9)
    assert (why.status == "reached").sum() >= 7
    assert (end[rows, why.target] >= 0.9)[why.reached].all()
    np.testing.assert_allclose(end[rows, why.target][why.steps > 0], 0.9, atol=0.01)
    flips = classifier(why.flips if of_images else why.flip_codes).numpy()
    assert (flips.argmax(axis=1) == why.target)[why.flipped].all()
    np.testing.assert_allclose(
        why.originals, why.images + why.rationales + why.residuals, atol=1e-6
    )
    np.testing.assert_allclose(why.path_images[:, 0], why.reconstructions, atol=1e-6)
    np.testing.assert_allclose(why.path_probabilities[:, -1], end, atol=1e-5)
    middle = generator((why.codes + why.codes_start) / 2)
    np.testing.assert_allclose(why.path_images[:, 5], middle, atol=1e-5)


@pytest.mark.slow
def test_bisection_leaves_the_least_change_on_the_way(bent, plain):
    classifier, why = bent[0][2], plain[1]
    for row in np.flatnonzero(why.steps > 0):
        shares = np.linspace(0, 1, 200)[:, None]
        way = why.codes_start[row] + shares * (why.codes[row] - why.codes_start[row])
        chances = classifier(way).numpy()[:, why.target[row]]
        assert (chances[:-2] < 0.9).all() or (np.diff(chances) < 0).any()


@pytest.mark.slow
def test_a_batch_gives_what_its_samples_give(bent):
    models, x = bent
    search, refined = Search(starts=2, polish=5), Reconstruction(refine=15)
    make = RationaleGenerator(*models, search=search, reconstruction=refined, batch_size=3)
    together = make(x)
    for row in (0, 2, 6):
        alone = make(x[row : row + 1])
        np.testing.assert_allclose(alone.codes[0], together.codes[row], atol=2e-3)
        assert alone.steps[0] == together.steps[row] and alone.target[0] == together.target[row]


@pytest.mark.slow
def test_graph_and_xla_agree():
    models = small_models(of_images=True)
    x, _ = drawn(models[0], 5)
    search, refined = Search(polish=5), Reconstruction(refine=5)
    make = RationaleGenerator(
        *models, search=search, reconstruction=refined, batch_size=2, steps=200
    )
    graph, xla = make.compiling(False)(x), make.compiling(True)(x)
    assert graph.status.tolist() == xla.status.tolist()
    np.testing.assert_allclose(graph.codes, xla.codes, atol=2e-3)
    np.testing.assert_allclose(graph.path_probabilities, xla.path_probabilities, atol=5e-3)


@pytest.mark.slow
def test_refinement_brings_the_reconstruction_nearer(bent):
    (generator, _, classifier), x = bent
    poor = exact_encoder(DRAWING / 6)
    rough, fine = [
        RationaleGenerator(generator, poor, classifier, reconstruction=Reconstruction(steps))(x)
        for steps in (0, 60)
    ]
    assert (fine.reconstruction_errors <= rough.reconstruction_errors).all()
    assert np.median(fine.reconstruction_errors) < 0.1 * np.median(rough.reconstruction_errors)
    ratio = ((x - rough.reconstructions) ** 2).mean(axis=(1, 2, 3)) / x.var(axis=(1, 2, 3))
    np.testing.assert_allclose(rough.reconstruction_errors, ratio, rtol=1e-4)
    of_images = small_models(of_images=True)[2]
    assert RationaleGenerator(generator, poor, of_images).settings.reconstruction.refine == 100


@pytest.mark.slow
def test_refinement_by_a_loss_of_one_s_own(bent):
    (generator, _, classifier), x = bent
    poor = exact_encoder(DRAWING / 6)
    fine = RationaleGenerator(generator, poor, classifier, reconstruction=Reconstruction(60))(x)
    seen = []

    def absolute(images, drawings):
        seen.append(images.shape)
        return tf.reduce_mean(tf.abs(images - drawings), axis=(1, 2, 3))

    by_absolute = Reconstruction(refine=60, refine_loss=absolute)
    other = RationaleGenerator(generator, poor, classifier, reconstruction=by_absolute)(x)
    assert seen and not np.allclose(other.codes_start, fine.codes_start, atol=1e-6)


@pytest.mark.slow
def test_more_starts_are_never_worse(bent):
    models, x = bent
    make = RationaleGenerator(*models, search=Search(starts=3), seed=3)
    one = RationaleGenerator(*models, search=Search(starts=1), seed=3)(x)
    more, again = make(x), make(x)
    assert (more.reached >= one.reached).all()
    both = more.reached & one.reached
    assert (more.distances <= one.distances + 1e-6)[both].all()
    assert (more.distances < 0.99 * one.distances)[both].any()
    np.testing.assert_array_equal(more.codes, again.codes)


@pytest.mark.slow
def test_a_search_may_stop_at_the_limit(bent):
    models, x = bent
    stopped = RationaleGenerator(*models, steps=1, confidence=0.999)(x)
    assert "stopped at the limit" in stopped.status and (stopped.steps <= 1).all()


def test_what_a_blind_encoder_finds_is_too_far(bent):
    (generator, _, classifier), x = bent
    blind = linear(np.zeros((PIXELS, LATENT)))
    blind = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), blind])
    far = RationaleGenerator(generator, blind, classifier)(x)
    assert set(far.status) == {"reconstruction too far"} and (far.reconstruction_errors > 0.5).all()


@pytest.mark.slow
def test_what_is_judged_otherwise_is_too_far(bent):
    (generator, _, _), x = bent
    shifted = exact_encoder(DRAWING / 6)
    images = small_models(of_images=True)[2]
    anything = Reconstruction(refine=0, limit=10.0)
    lenient = RationaleGenerator(generator, shifted, images, reconstruction=anything)(x)
    differs = images(x).numpy().argmax(1) != images(lenient.reconstructions).numpy().argmax(1)
    assert ((lenient.status == "reconstruction too far") == differs).all()


@pytest.mark.slow
def test_models_are_left_as_they_were(bent):
    models, x = bent
    models[0].trainable = True
    before = [[w.copy() for w in model.get_weights()] for model in models]
    RationaleGenerator(*models, reconstruction=Reconstruction(refine=3))(x)
    for model, weights in zip(models, before, strict=True):
        assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))
    assert models[0].trainable


@pytest.mark.slow
def test_new_weights_count_at_the_next_call(bent):
    models, x = small_models(), bent[1]
    make = RationaleGenerator(*models)
    first = make(x)
    models[2].set_weights([0.3 * w for w in models[2].get_weights()])
    assert not np.allclose(make(x).original_probabilities, first.original_probabilities, atol=1e-3)


# The form that is exported


@pytest.mark.slow
def test_the_served_form_answers_as_the_call(bent, plain, tmp_path):
    (models, x), (make, why) = bent, plain
    holder = tf.Module()
    holder.kept = [model.variables for model in models]
    function = tf.function(make.served, autograph=False).get_concrete_function(**make.specs)
    tf.saved_model.save(holder, str(tmp_path), signatures={"rationalize": function})
    served = tf.saved_model.load(str(tmp_path)).signatures["rationalize"]
    found = served(image=tf.constant(x), target=tf.constant(np.full(len(x), -1, np.int32)))
    assert sorted(found) == [
        "codes", "images", "probabilities", "rationales", "reconstructions", "status", "steps",
        "target",
    ]  # fmt: skip
    assert all(len(tensor) == len(x) for tensor in found.values())
    np.testing.assert_allclose(found["rationales"], why.rationales, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"], why.path_probabilities, atol=1e-4)
    assert (found["target"].numpy() == why.target).all()


@pytest.mark.slow
def test_the_served_form_of_a_regressor(line):
    generator, encoder, x, _ = line
    make = RationaleGenerator(generator, encoder, linear([[1.5]], [0.5]), cutoff=-5.0)
    assert make.specs["target"].dtype == tf.float32
    function = tf.function(make.served, autograph=False)
    found = function(tf.constant(x), tf.constant([float("nan"), -5.0, -6.0]))
    np.testing.assert_allclose(found["probabilities"][:, -1, 0], [-5.0, -5.0, -6.0], atol=5e-3)


# Bad input


@pytest.mark.slow
@pytest.mark.parametrize(("of_images", "xla"), [(False, False), (True, True)])
def test_predictions_are_the_classifiers(of_images, xla):
    models = small_models(of_images)
    x = drawn(models[0], 7)[0] * 0.9 + 0.05  # off what the generator can draw
    make = RationaleGenerator(*models, batch_size=3, jit_compile=xla)
    seen = models[2](x if of_images else models[1](x)).numpy()
    np.testing.assert_allclose(make.predictions(x), seen, atol=1e-6)
    np.testing.assert_allclose(make(x).original_probabilities, make.predictions(x), atol=1e-6)
    with pytest.raises(ValueError, match="generator's shape"):
        make.predictions(x[:, 1:])
    with pytest.raises(ValueError, match="rows"):
        make.predictions(0 * x)


def test_predictions_of_single_outputs(line):
    generator, encoder, x, codes = line
    values = RationaleGenerator(
        generator, encoder, linear([[1.5]], [0.5]), cutoff=np.array(0)
    ).predictions(x)
    np.testing.assert_allclose(values, 1.5 * codes + 0.5, atol=1e-4)
    pairs = RationaleGenerator(generator, encoder, linear([[2.0]], [1.0], "sigmoid")).predictions(x)
    chance = 1 / (1 + np.exp(-2 * codes[:, 0] - 1))
    np.testing.assert_allclose(pairs, np.stack([1 - chance, chance], axis=1), atol=1e-4)


def test_errors_at_the_door(bent):
    models, x = bent
    make = RationaleGenerator(*models)
    predicted = models[2](models[1](x)).numpy().argmax(axis=1)
    same = (predicted + 1) % 4
    same[[1, 4]] = predicted[[1, 4]]
    with pytest.raises(ValueError, match=r"already in 2 of 7 rows: 1, 4\."):
        make(x, target=same)
    with pytest.raises(ValueError, match=r"from 0 to 3.*Received: 9"):
        make(x, target=9)
    with pytest.raises(ValueError, match=r"`target`.*Received shape"):
        make(x, target=[1, 2])
    with pytest.raises(ValueError, match=r"\[-1, 1\]. Found values from .* to 2\d\d"):
        make((x + 1) * 127.5)
    with pytest.raises(ValueError, match=r"shape \(4, 4, 1\).*\(7, 2, 8, 1\)"):
        make(x.reshape(7, 2, 8, 1))
    with pytest.raises(ValueError, match="rows 3"):
        make(np.where(np.arange(7)[:, None, None, None] == 3, np.nan, x))
    with pytest.raises(ValueError, match=r"one value throughout.*rows 2"):
        make(np.where(np.arange(7)[:, None, None, None] == 2, 0.5, x))
    with pytest.raises(TypeError, match="real numbers"):
        make(x.astype(str))


def test_a_cutoff_met_already_names_its_rows(line):
    generator, encoder, x, _ = line
    make = RationaleGenerator(generator, encoder, linear([[1.0]]))
    with pytest.raises(ValueError, match=r"lowered.*already in 2 of 3 rows: 1, 2.*-1\.3, -2\.6"):
        make(x, target=-1.0)
    with pytest.raises(ValueError, match="pass `target`, or `cutoff`"):
        make(x)
    with pytest.raises(ValueError, match="finite"):
        make(x, target=float("inf"))


def test_errors_of_models_and_settings(bent):
    (generator, encoder, classifier), _ = bent
    wrong = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    with pytest.raises(ValueError, match=r"`encoder` must give codes.*\(3,\).*\(5,\)"):
        RationaleGenerator(generator, wrong, classifier)
    with pytest.raises(ValueError, match=r"`classifier` must take codes of shape \(3,\) or images"):
        RationaleGenerator(generator, encoder, linear(np.ones((6, 2))))
    with pytest.raises(ValueError, match="`generator` must lead from codes"):
        RationaleGenerator(linear(np.ones((3, 2))), encoder, classifier)
    with pytest.raises(TypeError, match="`encoder` must be a Keras model"):
        RationaleGenerator(generator, "encoder", classifier)
    with pytest.raises(ValueError, match=r"`cutoff` is for one output.*4 classes"):
        RationaleGenerator(generator, encoder, classifier, cutoff=0.3)
    with pytest.raises(ValueError, match="regressor must have one output"):
        RationaleGenerator(generator, encoder, classifier, task="regression")
    with pytest.raises(ValueError, match="between 0 and 1"):
        RationaleGenerator(generator, encoder, linear(np.ones((3, 1)), None, "sigmoid"), cutoff=3.0)
    for name, value in [
        ("confidence", 1.0), ("steps", 0), ("path_points", 1), ("batch_size", 0), ("task", "both"),
        ("seed", -1), ("jit_compile", "yes"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"`{name}`.*Received: "):
            RationaleGenerator(generator, encoder, classifier, **{name: value})
    for kind, name, value in [
        (Search, "starts", 1.5), (Search, "similarity_weight", -1), (Search, "leave", "all"),
        (Reconstruction, "refine", -1),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=f"`{name}`.*Received: "):
            kind(**{name: value})
    with pytest.raises(TypeError, match=r"`search` must be Search\(…\)\. Received: dict"):
        RationaleGenerator(generator, encoder, classifier, search={"polish": 3})
    with pytest.raises(ValueError, match="must be increasing"):
        RationaleGenerator(generator, encoder, classifier, image_range=(1, -1))
