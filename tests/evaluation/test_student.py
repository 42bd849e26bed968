"""Students: their targets against naive loops, and whether they learn from a known truth."""

import keras
import numpy as np
import pytest
from slow_cases import slow

from keras_pli import attribution
from keras_pli.evaluation import StudentCurves, student_test
from keras_pli.evaluation.student_network import (
    StudentTraining,
    attention_student,
    attention_targets,
)
from keras_pli.synthetic import known_truth, train_known_truth

RANDOM = np.random.default_rng(0)


def spots(samples, seed):
    """Noise with a square whose sign is the class, and bars whose signs are random, all anywhere."""
    random = np.random.default_rng(seed)
    x = 0.3 * random.normal(size=(samples, 16, 16, 1))
    y = random.integers(2, size=samples)
    masks = np.zeros((samples, 16, 16))
    for image, mask, label in zip(x, masks, y, strict=True):
        for _ in range(2):
            row, column = random.integers(0, 12, size=2)
            image[row, column : column + 4, 0] += random.choice([-2.0, 2.0])
        row, column = random.integers(1, 14, size=2)
        image[row : row + 2, column : column + 2, 0] += 2.0 * (2 * label - 1)
        mask[row : row + 2, column : column + 2] = 1.0
    return x.astype("float32"), y, masks


def test_targets_are_means_over_cells_that_sum_to_one():
    maps = RANDOM.normal(size=(3, 7, 5))
    maps[2] = 0.0
    found = attention_targets(maps, (3, 2))
    rows, columns = [(0, 2), (2, 4), (4, 7)], [(0, 2), (2, 5)]
    for one, target in zip(maps[:2], found, strict=False):
        means = [[np.abs(one[a:b, c:d]).mean() for c, d in columns] for a, b in rows]
        np.testing.assert_allclose(target, np.array(means) / np.sum(means))
    np.testing.assert_allclose(found[2], 1 / 6)


@pytest.mark.parametrize("shape", [slow((20, 2)), (9, 8, 1), slow((6, 5, 7, 1))])
def test_attention_sums_to_one_and_pools_the_maps(shape):
    student = attention_student(shape, 3)
    x = RANDOM.normal(size=(2, *shape)).astype("float32")
    logits, attention = student.predict(x, verbose=0)
    np.testing.assert_allclose(attention.reshape(2, -1).sum(axis=1), 1.0, rtol=1e-5)
    relu = next(layer for layer in reversed(student.layers) if isinstance(layer, keras.layers.ReLU))
    maps = keras.Model(student.input, relu.output).predict(x, verbose=0).reshape(2, -1, 32)
    kernel, bias = student.get_layer("logits").get_weights()
    pooled = np.einsum("np,npf->nf", attention.reshape(2, -1), maps)
    np.testing.assert_allclose(logits, pooled @ kernel + bias, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_training_starts_anew_each_time():
    x, y, masks = spots(32, 0)
    student = attention_student((16, 16, 1), 2)
    training = StudentTraining(student, steps=3)
    start = student.get_weights()
    targets = attention_targets(masks, (8, 8))
    ends = []
    for maps in (targets, None, targets):
        training.run(start, x, y, maps, 1.0, seed=0)
        ends.append(student.get_weights())
    for first, again in zip(ends[0], ends[2], strict=True):
        np.testing.assert_allclose(first, again, rtol=1e-4, atol=1e-6)
    assert not np.allclose(ends[0][0], ends[1][0], atol=1e-5)


@pytest.mark.slow
def test_a_student_learns_from_the_known_truth():
    x, y, masks = spots(64, 1)
    other, truth, _ = spots(200, 2)
    found = student_test(
        x, y, {"known truth": masks}, (other, truth), sizes=[32], seeds=1, steps=120
    )
    by_name = dict(zip(found.methods, found.agreement.mean(axis=(1, 2)), strict=True))
    assert by_name["known truth"] > by_name["random maps"] + 0.1
    frame = found.to_frame().set_index("method")
    gain = (found.agreement[2] - found.agreement[0]).mean()
    assert frame.loc["known truth", "gain"] == pytest.approx(gain)
    assert frame.loc["no explanation", "gain"] == 0.0


def test_samples_needed_and_the_figure(tmp_path):
    agreement = np.array([[0.2, 0.4, 0.8], [0.5, 0.3, 0.6], [0.1, 0.2, 0.3]])[..., None]
    agreement = np.concatenate([agreement, agreement], axis=2)
    found = StudentCurves(
        agreement, np.array(["no explanation", "random maps", "a"]), np.array([10, 20, 40]), {}
    )
    needed = found.samples_needed(0.5)
    between = np.exp(np.interp(0.5, [0.4, 0.8], np.log([20, 40])))
    assert needed["no explanation"] == pytest.approx(between)
    assert needed["random maps"] == pytest.approx(10) and np.isnan(needed["a"])
    figure = found.plot(title="learned")
    assert [line.get_label() for line in figure.axes[0].lines] == found.methods.tolist()
    loaded = StudentCurves.load(found.save(tmp_path / "found.npz"))
    assert loaded.to_frame().equals(found.to_frame())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [4, 4]}, "`sizes` must ascend"),
        ({"sizes": [99]}, "less than 13. Received: 99"),
        ({"explanations": {"random maps": np.ones((12, 8, 8))}}, "called otherwise than"),
        ({"explanations": {"a": np.ones((12, 5, 8))}}, "explanations"),
        ({"predictions": np.ones(12) / 2}, "must hold classes from 0 on"),
        ({"held_out": (np.ones((2, 9, 8, 1)), [0, 1])}, "inputs of shape"),
        (
            {
                "student": lambda seed: keras.Sequential(
                    [keras.Input((8, 8, 1)), keras.layers.Dense(2)]
                )
            },
            "logits, attention",
        ),
    ],
)
def test_bad_input(options, message):
    x = RANDOM.normal(size=(12, 8, 8, 1))
    given = {
        "predictions": np.arange(12) % 2,
        "explanations": {"a": np.ones((12, 8, 8))},
        "held_out": (x, np.arange(12) % 2),
        "sizes": [4],
        **options,
    }
    arguments = [given.pop(name) for name in ("predictions", "explanations", "held_out")]
    with pytest.raises(ValueError, match=message):
        student_test(x, *arguments, **given)


@pytest.mark.slow
def test_where_methods_stand_between_random_maps_and_the_known_truth():
    """Of a network that finds an object: the known truth is above random maps; the others are printed."""
    data, held = known_truth(2, samples=2000), known_truth(2, samples=500, seed=1)
    classifier = train_known_truth(data, held, accuracy=0.97)
    new = known_truth(2, samples=256, seed=2)
    maps = {
        "known truth": new.masks.astype(float),
        "Saliency": attribution.Saliency(classifier)(new.x),
        "GradCAM": attribution.GradCAM(classifier, layer="conv_3")(new.x),
        "IntegratedGradients": attribution.IntegratedGradients(classifier, steps=16)(new.x),
    }
    said = [classifier.predict(part.x, verbose=0).argmax(axis=1) for part in (new, held)]
    found = student_test(
        new.x, said[0], maps, (held.x, said[1]), sizes=[64, 256], seeds=3, steps=300
    )
    table = found.to_frame().pivot(index="method", columns="samples", values="agreement")
    print(table.round(3).to_string())
    assert (table.loc["known truth"] > table.loc["random maps"] + 0.05).all()


def test_held_out_that_is_no_pair():
    x = RANDOM.normal(size=(12, 8, 8, 1))
    with pytest.raises(TypeError, match=r"`held_out` must be a pair .* Received: ndarray"):
        student_test(x, np.arange(12) % 2, {"a": np.ones((12, 8, 8))}, x, sizes=[4])
