import numpy as np
import pytest

from keras_pli.checks import finite_array, label_array, one_of, quoted


class TestFiniteArray:
    @pytest.mark.parametrize(
        "values",
        [[[1, 2], [3, 4]], np.eye(2), np.eye(2, dtype=bool), np.eye(2, dtype=np.uint8)],
        ids=["list", "float64", "bool", "uint8"],
    )
    def test_becomes_float32(self, values):
        found = finite_array(values, "z")
        assert found.dtype == np.float32
        assert np.array_equal(found, np.asarray(values, dtype=np.float32))

    def test_half_and_brain_floats(self):
        import tensorflow as tf

        for dtype in (tf.float16, tf.bfloat16):
            found = finite_array(tf.constant([[1.5, 2.0]], dtype=dtype).numpy(), "z")
            assert found.tolist() == [[1.5, 2.0]]
            assert found.dtype == np.float32

    def test_is_contiguous(self):
        assert finite_array(np.zeros((4, 6)).T, "z").flags["C_CONTIGUOUS"]

    def test_float32_is_not_copied(self):
        values = np.zeros((4, 6), dtype=np.float32)
        assert np.shares_memory(finite_array(values, "z"), values)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_rows_are_named(self, bad):
        values = np.zeros((20, 2, 2))
        values[[3, 11], 1, 0] = bad
        with pytest.raises(ValueError, match=r"`z` must be finite, but 2 of 20 rows.*rows 3, 11\."):
            finite_array(values, "z")

    def test_a_row_alone_is_not_counted(self):
        with pytest.raises(ValueError, match=r"^`z` must be finite, but holds NaN or infinity\.$"):
            finite_array(np.array([[0.0, np.nan]]), "z")

    def test_only_the_first_rows_are_named(self):
        with pytest.raises(ValueError, match=r"15 of 15 rows.*rows 0, 1, .*, 9, … \(5 more\)"):
            finite_array(np.full((15, 1), np.nan), "z")

    @pytest.mark.parametrize(
        ("values", "ndim", "message"),
        [
            (np.zeros(3), None, r"`z` must have at least 2 axes.*\(3,\)"),
            (np.zeros(()), None, r"at least 2 axes.*\(\)"),
            (np.zeros((3, 2, 2)), 2, r"must have 2 axes.*\(3, 2, 2\)"),
            (np.zeros((3, 2)), 3, r"must have 3 axes.*\(3, 2\)"),
            (np.zeros((0, 2)), None, r"holds no sample.*\(0, 2\)"),
        ],
    )
    def test_shapes(self, values, ndim, message):
        with pytest.raises(ValueError, match=message):
            finite_array(values, "z", ndim=ndim)

    @pytest.mark.parametrize("values", [[["a", "b"]], [[1j, 0]], [[None, 1]]])
    def test_other_types(self, values):
        with pytest.raises(TypeError, match=r"`z` must hold real numbers\. Received dtype"):
            finite_array(values, "z")


class TestLabelArray:
    @pytest.mark.parametrize("values", [[1, 2, 3], ["a", "b", "c"], [[1], [2], [3]]])
    def test_one_a_sample(self, values):
        assert np.array_equal(label_array(values, 3), np.ravel(values))

    def test_one_hot(self):
        with pytest.raises(ValueError, match=r"`labels`.*\(3, 3\).*argmax\(axis=1\)"):
            label_array(np.eye(3), 3)

    @pytest.mark.parametrize("values", [np.zeros(4), np.zeros(()), np.zeros((4, 1))])
    def test_other_lengths(self, values):
        with pytest.raises(
            ValueError, match="`kind` must have one entry for each of the 3 samples"
        ):
            label_array(values, 3, "kind")


class TestOneOf:
    def test_returns_the_value(self):
        assert one_of("exact", ["auto", "exact"], "method") == "exact"
        assert one_of(2, iter([2, 3]), "components") == 2

    def test_offers_near_names(self):
        message = (
            "`method` must be one of 'auto', 'exact'. Received: 'exakt'. Did you mean 'exact'?"
        )
        with pytest.raises(ValueError) as raised:
            one_of("exakt", ["auto", "exact"], "method")
        assert str(raised.value) == message

    def test_nothing_near(self):
        with pytest.raises(ValueError, match=r"one of 2, 3\. Received: 7\.$"):
            one_of(7, [2, 3], "components")


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ([], ""),
        (["a", "b"], "'a', 'b'"),
        (np.array([1, 2]), "1, 2"),
        (np.array(["a"]), "'a'"),
        (iter([1.5]), "1.5"),
        ({"x": 1, "y": 2}, "'x', 'y'"),
        (range(12), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … (2 more)"),
    ],
)
def test_quoted(items, text):
    assert quoted(items) == text


def test_quoted_most():
    assert quoted("abc", most=2) == "'a', 'b', … (1 more)"
