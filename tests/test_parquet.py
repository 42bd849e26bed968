"""Arrays as columns of Parquet files, and back."""

import doctest

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keras_pli import arrow, parquet
from keras_pli.parquet import parquet_files, read_columns, write_columns


def test_arrays_come_back_with_their_types(tmp_path):
    arrays = {
        "truths": np.array([[True, False], [False, True]]),
        "halves": np.ones((2, 3), "float16"),
        "texts": np.array(["é", "longer"]),
        "days": np.array(["2020-01-01", "2021-01-01"], "datetime64[ns]"),
        "turned": np.arange(12.0).reshape(3, 2, 2).transpose(1, 0, 2),
        "note": np.array("a digest"),
    }
    found = read_columns(write_columns(tmp_path / "arrays.parquet", arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert set(read_columns(tmp_path / "arrays.parquet", ["texts", "other"])) == {"texts"}


def test_tensors_whose_axes_lie_in_another_order(tmp_path):
    x = np.arange(24).reshape(2, 3, 4)  # in memory (4, 3)
    kind = pa.fixed_shape_tensor(pa.int64(), (4, 3), permutation=[1, 0])
    flat = pa.array(np.ascontiguousarray(x.transpose(0, 2, 1)).ravel())
    column = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, 12))
    pq.write_table(pa.table({"x": column}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(read_columns(tmp_path / "x.parquet")["x"], x)


def test_tensors_that_ray_wrote_are_read_without_ray(tmp_path):
    """As Ray 2.60 stores them: lists, whose shape stands in the metadata of the field."""
    about = {
        "ARROW:extension:name": "ray.data.arrow_tensor_v2",
        "ARROW:extension:metadata": "[3, 2]",
    }
    field = pa.field("x", pa.large_list(pa.float32()), metadata=about)
    x = np.arange(24, dtype="float32").reshape(4, 3, 2)
    column = pa.array([list(row.ravel()) for row in x], field.type)
    table = pa.Table.from_arrays([column], schema=pa.schema([field]))
    pq.write_table(table, tmp_path / "x.parquet")
    np.testing.assert_array_equal(read_columns(tmp_path / "x.parquet")["x"], x)


def test_files_of_a_folder_in_order_without_hidden_ones(tmp_path):
    for name in ("b/2.parquet", "a.parquet", "b/1.parquet", "_temporary/3.parquet", ".4.parquet"):
        write_columns(tmp_path / name, {"x": [1]})
    (tmp_path / "c.parquet").mkdir()  # as Spark names a folder
    found = [file.relative_to(tmp_path).as_posix() for file in parquet_files(tmp_path)]
    assert found == ["a.parquet", "b/1.parquet", "b/2.parquet"]


def test_a_file_without_rows_keeps_its_columns(tmp_path):
    columns = {"x": np.zeros((0, 2, 3), "float32"), "id": np.array([], "U1"), "y": np.zeros(0, int)}
    found = read_columns(write_columns(tmp_path / "x.parquet", columns))
    for name, array in columns.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)


def test_columns_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\{'x': 2, 'y': 3\}"):
        write_columns(tmp_path / "x.parquet", {"x": [1, 2], "y": [1, 2, 3]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [arrow, parquet])
def test_examples(module):
    assert not doctest.testmod(module, extraglobs={"np": np}).failed
