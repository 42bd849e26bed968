import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from keras_pli.intervals import mean_interval
from keras_pli.plotting import class_scores, paired_differences


@pytest.fixture
def table():
    rows = [
        ("cat", "control", 0.5, 0.4, 0.6),
        ("cat", "PLI", 0.7, np.nan, np.nan),
        ("dog", "control", 0.9, 0.8, 1.0),
        ("dog", "PLI", np.nan, np.nan, np.nan),
        ("owl", "PLI", 0.25, 0.2, 0.3),
    ]
    return pd.DataFrame(rows, columns=["class", "run", "mean", "low", "high"])


@pytest.fixture
def differences():
    rows = [("cat", seed, 0.05 + 0.01 * seed) for seed in range(4)]
    rows += [("dog", seed, 0.03 * (-1) ** seed) for seed in range(4)] + [("owl", 0, -0.2)]
    return pd.DataFrame(rows, columns=["name", "seed", "difference"])


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_bars_values_and_intervals(table):
    ax = class_scores(table, title="Test").axes[0]
    widths = sorted(round(bar.get_width(), 6) for bar in ax.patches)
    assert widths == [0.0, 0.25, 0.5, 0.7, 0.9]
    assert sorted(texts(ax)) == ["0.25", "0.50", "0.70", "0.90", "\N{EN DASH}"]
    intervals = sorted(tuple(line.get_xdata()) for line in ax.lines)
    assert intervals == [(0.2, 0.3), (0.4, 0.6), (0.8, 1.0)]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "dog", "owl"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["control", "PLI"]
    assert ax.get_xlim()[0] == 0


def test_bars_stand_in_their_class_row(table):
    ax = class_scores(table).axes[0]
    for bar in ax.patches:
        centre, width = bar.get_y() + bar.get_height() / 2, bar.get_width()
        row = {0.5: 0, 0.7: 0, 0.9: 1, 0.0: 1, 0.25: 2}[round(width, 6)]
        assert abs(centre - row) < 0.5


def test_emphasised_classes_are_bold(table):
    ax = class_scores(table, emphasise=["dog"]).axes[0]
    weights = {tick.get_text(): tick.get_fontweight() for tick in ax.get_yticklabels()}
    assert weights == {"cat": "normal", "dog": "bold", "owl": "normal"}


def test_a_long_name_leaves_room_for_the_bars(table):
    name = "x" * 60
    figure = class_scores(
        table.replace({"class": {table["class"].iloc[0]: name}}), emphasise=[name]
    )
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.5
    assert figure.axes[0].get_yticklabels()[0].get_text() == "x" * 15 + "…" + "x" * 10


def test_metric_and_axes(table):
    host = Figure()
    ax = host.add_subplot()
    assert class_scores(table[table["run"] == "PLI"], metric="recall", ax=ax) is host
    assert ax.get_xlabel() == "Recall" and ax.get_legend() is None


@pytest.mark.parametrize(
    "change, arguments, message",
    [
        (lambda t: t.drop(columns=["low", "high"]), {}, "Missing: 'low', 'high'"),
        (lambda t: t[:0], {}, "at least one row"),
        (lambda t: pd.concat([t, t[:1]]), {}, r"Repeated: \('cat', 'control'\)"),
        (lambda t: t.assign(mean=72.0), {}, r"\[0, 1\].*72.0"),
        (lambda t: t, {"metric": "f2"}, "Did you mean 'f1'"),
        (lambda t: t, {"emphasise": ["emu"]}, "'emu'"),
    ],
)
def test_score_errors(table, change, arguments, message):
    with pytest.raises(ValueError, match=message):
        class_scores(change(table), **arguments)


def test_every_seed_is_a_dot_and_zero_is_drawn(differences):
    ax = paired_differences(differences).axes[0]
    dots = np.concatenate([scatter.get_offsets()[:, 0] for scatter in ax.collections])
    np.testing.assert_allclose(np.sort(dots), np.sort(differences["difference"]))
    assert any(list(line.get_xdata()) == [0.0, 0.0] for line in ax.lines)
    assert ax.get_xlim()[0] < -0.2 and ax.get_xlim()[1] > 0.08


def test_only_clear_differences_are_bold(differences):
    ax = paired_differences(differences).axes[0]
    weights = {text.get_text(): text.get_fontweight() for text in ax.texts}
    minus = "\N{MINUS SIGN}"
    assert weights == {"+0.065": "bold", "+0.000": "normal", f"{minus}0.200": "normal"}
    # One seed, no interval: two intervals for three names.
    assert sum(len(line.get_xdata()) == 2 for line in ax.lines) == 2 + 1


def test_interval_is_students():
    values = np.array([0.1, 0.3, 0.2, 0.6])
    mean, low, high = mean_interval(values, 0.9)
    test = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert (mean, low, high) == pytest.approx((0.3, test.low, test.high))
    assert np.isnan(mean_interval(values[:1])[1:]).all()


def test_missing_differences_are_left_out(differences):
    differences.loc[0, "difference"] = np.nan
    ax = paired_differences(differences, emphasise=["cat"]).axes[0]
    assert sum(len(scatter.get_offsets()) for scatter in ax.collections) == 8


@pytest.mark.parametrize(
    "change, arguments, message",
    [
        (lambda t: t.drop(columns="seed"), {}, "Missing: 'seed'"),
        (lambda t: pd.concat([t, t[:1]]), {}, r"Repeated: \('cat', 0\)"),
        (lambda t: t.assign(difference=np.nan), {}, "NaN in every row"),
        (lambda t: t.assign(difference=np.inf), {}, "must be finite"),
        (lambda t: t, {"confidence": 95}, "Received: 95"),
        (lambda t: t, {"emphasise": ["emu"]}, "'emu'"),
    ],
)
def test_difference_errors(differences, change, arguments, message):
    with pytest.raises(ValueError, match=message):
        paired_differences(change(differences), **arguments)
