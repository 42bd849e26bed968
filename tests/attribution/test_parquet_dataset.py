"""Explaining Parquet files, and writing Parquet: the same as tf.data and npz, sample by sample."""

import shutil
import warnings

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from keras_pli.attribution import IntegratedGradients, Saliency
from keras_pli.attribution.dataset import explain_dataset, load_attributions
from keras_pli.attribution.sample_streams import ParquetStream

SAMPLES = 23


@pytest.fixture(scope="module")
def method():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(
        [
            keras.Input((6, 5, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 3, activation="relu"),
            *layers,
        ]
    )
    return IntegratedGradients(model, steps=4)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 255, (SAMPLES, 6, 5, 1)).astype("uint8")
    return x, generator.integers(0, 3, SAMPLES)


@pytest.fixture(scope="module")
def expected(method, data):
    return method(*data)


def tensors(x):
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(x.dtype), x.shape[1:])
    flat = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), int(np.prod(x.shape[1:])))
    return pa.ExtensionArray.from_storage(kind, flat)


def stored(folder, data, columns=tensors, files=3):
    """Writes a data set as several files, of several groups of rows each."""
    folder.mkdir()
    rows = np.array_split(np.arange(SAMPLES), files)
    for number, part in enumerate(rows):
        table = {
            "id": [f"image {row}" for row in part],
            "image": columns(data[0][part]),
            "label": data[1][part],
        }
        pq.write_table(pa.table(table), folder / f"{number}.parquet", row_group_size=4)
    return folder


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("parquet") / "images", data)


def explained(method, dataset, out, **options):
    return explain_dataset(
        method, dataset, out, **{"target": "label", "samples_per_file": 5, "verbose": 0, **options}
    )


def check(folder, expected):
    found = load_attributions(folder)
    np.testing.assert_array_equal(found["index"], np.arange(SAMPLES))
    for name in ("attributions", "scores", "delta"):
        np.testing.assert_allclose(found[name], getattr(expected, name), atol=1e-6)
        assert found[name].dtype == getattr(expected, name).dtype
    return found


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_shares_of_parquet_files_are_the_local_call(method, source, expected, tmp_path, kind):
    options = {"num_shards": 2, "keep": ["id"], "format": kind}
    files = [explained(method, source, tmp_path, shard_index=i, **options) for i in (1, 0)]
    assert {file.suffix for share in files for file in share} == {f".{kind}"}
    assert [len(share) for share in files] == [3, 3]  # of 11 and 12 samples
    found = check(tmp_path, expected)
    assert found["id"].tolist() == [f"image {row}" for row in range(SAMPLES)]


def nested(values, *sizes):
    for size in sizes:
        values = pa.FixedSizeListArray.from_arrays(values, size)
    return values


@pytest.mark.parametrize(
    "columns",
    [
        lambda x: x.tolist(),
        lambda x: nested(pa.array(x.ravel()), 1, 5, 6),
    ],
    ids=["lists", "fixed size lists"],
)
def test_tensors_as_lists(method, data, expected, tmp_path, columns):
    explained(method, stored(tmp_path / "lists", data, columns), tmp_path / "out")
    check(tmp_path / "out", expected)


def test_pandas_and_arrow_read_what_is_written(method, source, expected, tmp_path):
    files = explained(method, source, tmp_path, keep=["id", "label"], format="parquet")
    frame = pd.read_parquet(files[0].parent)  # with the notes that lie there
    assert frame["id"].tolist() == [f"image {row}" for row in range(SAMPLES)]
    maps = np.stack(frame["attributions"]).reshape(SAMPLES, 6, 5, 1)
    np.testing.assert_allclose(maps, expected.attributions, atol=1e-6)
    column = pq.read_table(tmp_path / files[0].name)["attributions"].combine_chunks()
    np.testing.assert_array_equal(column.to_numpy_ndarray(), maps[:5])


def flipped(content):
    """A byte of the first page of numbers is another."""
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.slow
def test_a_stream_written_as_parquet_is_resumed_part_by_part(method, data, expected, tmp_path):
    stream = tf.data.Dataset.from_tensor_slices(data).batch(4)
    files = explained(method, stream, tmp_path, format="parquet")
    content = files[2].read_bytes()
    for damage in (content[:-50], flipped(content)):
        files[2].write_bytes(damage)
        others = {file: file.stat().st_mtime_ns for file in files if file != files[2]}
        with pytest.raises(ValueError, match=r"00002\.parquet is damaged.*explain_dataset"):
            load_attributions(tmp_path)
        with pytest.warns(UserWarning, match="made again"):
            explained(method, stream, tmp_path, format="parquet")
        assert {file: file.stat().st_mtime_ns for file in others} == others
        check(tmp_path, expected)


def test_a_folder_has_one_kind_of_files(method, source, tmp_path):
    explained(method, source, tmp_path, format="parquet")
    with pytest.raises(ValueError, match=r"\{'format': 'parquet'\}, and now \{'format': 'npz'\}"):
        explained(method, source, tmp_path)
    with pytest.raises(ValueError, match=r"'keep': \[\].*'keep': \['id'\]"):
        explained(method, source, tmp_path, format="parquet", keep=["id"])


def test_changed_rows_are_noticed(method, data, source, tmp_path):
    folder = shutil.copytree(source, tmp_path / "images")
    explained(method, folder, tmp_path / "out")
    (folder / "0.parquet").rename(folder / "9.parquet")  # in another order
    with pytest.raises(ValueError, match="other samples"):
        explained(method, folder, tmp_path / "out")


def test_several_inputs_by_name_and_in_order(tmp_path):
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    method = Saliency(keras.Model(inputs, keras.layers.Dense(2)(joined)))
    x = {"a": np.ones((4, 3), "float32"), "b": np.arange(8, dtype="float32").reshape(4, 2)}
    table = {"left": tensors(x["a"]), "right": tensors(x["b"]), "a": tensors(x["a"])}
    pq.write_table(pa.table({**table, "b": tensors(x["b"])}), tmp_path / "x.parquet")
    whole = method(x)
    for number, column in enumerate((None, {"a": "left", "b": "right"})):
        explained(
            method, tmp_path / "x.parquet", tmp_path / f"{number}", column=column, target=None
        )
        found = load_attributions(tmp_path / f"{number}")
        for name in "ab":
            np.testing.assert_allclose(found[f"attributions/{name}"], whole.attributions[name])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data_set(method, tmp_path):
    """10 MB of images in one group of rows; as lists, with what Parquet notes of each value, 150 MB."""
    x = np.random.default_rng(0).integers(0, 255, (16, 500, 400, 3)).astype("uint8")
    pq.write_table(pa.table({"x": tensors(x)}), tmp_path / "x.parquet", use_dictionary=False)
    stream = ParquetStream(tmp_path / "x.parquet", method.network.model, None, "label", ())
    before = pa.total_allocated_bytes()
    for place, sample in enumerate(stream.samples(0, 1)):
        np.testing.assert_array_equal(sample.x, x[place])
        assert pa.total_allocated_bytes() - before < 60e6
    assert place == 15


class TestRefusals:
    def write(self, folder, **columns):
        pq.write_table(pa.table(columns), folder / "x.parquet")
        return folder / "x.parquet"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"column": "images"},
                r"0\.parquet lacks the columns 'images'. It holds 'id', 'image'",
            ),
            ({"keep": ["name"]}, r"lacks the columns 'name'"),
            ({"keep": ["index"]}, "other names than 'index', 'attributions'"),
            ({"keep": "id"}, "must be a sequence of columns"),
            ({"format": "csv"}, "'npz', 'parquet'.*'csv'"),
            ({"label_column": "class"}, "needs a data set of"),
            ({"column": ["image", "label"]}, r"for each of the 1 input that.*\['image', 'label'\]"),
            ({"keep": [3]}, "lacks the columns 3"),
        ],
    )
    def test_of_arguments(self, method, source, tmp_path, options, message):
        with pytest.raises(ValueError, match=message):
            explained(method, source, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()

    def test_of_no_file_and_of_two_columns_of_arrays(self, method, data, tmp_path):
        with pytest.raises(ValueError, match="no Parquet file in"):
            explained(method, tmp_path, tmp_path / "out")
        path = self.write(tmp_path, one=tensors(data[0]), other=tensors(data[0]))
        with pytest.raises(ValueError, match=r"1 inputs.*of which 'one', 'other' hold arrays"):
            explained(method, path, tmp_path / "out", target=None)

    def test_of_files_that_do_not_agree(self, method, tmp_path):
        x = np.ones((4, 6, 5, 1), "float32")
        for number, images in enumerate((x, x[:0], x[:, :5])):
            table = pa.table({"image": tensors(images)})
            pq.write_table(table, tmp_path / f"{number}.parquet")
        with pytest.raises(ValueError, match=r"\(5, 5, 1\) in .*2\.parquet, and \(6, 5, 1\) in"):
            explained(method, tmp_path, tmp_path / "out", target=None)
        for number, images in enumerate((x, x[:, :5])):  # lists do not say it beforehand
            table = pa.table({"image": images.tolist()})
            pq.write_table(table, tmp_path / f"{number}.parquet")
        (tmp_path / "2.parquet").unlink()
        with pytest.raises(
            ValueError, match=r"one shape\. Received shapes \(6, 5, 1\), \(5, 5, 1\)"
        ):
            explained(method, tmp_path, tmp_path / "out", target=None)

    def test_of_two_columns_of_one_name(self, method, data, tmp_path):
        twice = pa.table([tensors(data[0])] * 2, names=["image", "image"])
        pq.write_table(twice, tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=r"x\.parquet: Columns must differ.*'image'"):
            explained(method, tmp_path, tmp_path / "out", target=None)

    def test_of_parquet_among_what_is_read(self, method, source, tmp_path):
        with pytest.raises(ValueError, match=r"`out` must lie outside the folder of the data"):
            explained(method, tmp_path, tmp_path / "out", format="parquet")

    def test_of_columns_of_a_stream(self, method, data, tmp_path):
        stream = tf.data.Dataset.from_tensor_slices(data).batch(4)
        with pytest.raises(ValueError, match="has none"):
            explained(method, stream, tmp_path, column="image")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([[1.0, 2.0], [1.0]], "arrays of one shape. Received lists of length 1 and 2"),
            ([[1.0, 2.0], [1.0, None]], "Column 'x' lacks values"),
            ([[1.0, 2.0], None], "Column 'x' lacks values"),
            ([[{"a": 1}], [{"a": 2}]], "must hold numbers, texts.*Received list<"),
        ],
    )
    def test_of_rows_that_are_no_tensors(self, tmp_path, values, message):
        method = Saliency(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
        path = self.write(tmp_path, x=values)
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            warnings.simplefilter("error")
            explained(method, path, tmp_path / "out", target=None)


@pytest.mark.slow
def test_ray_reads_what_is_written_and_writes_what_is_read(method, source, expected, tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=300_000_000
    )
    try:
        explained(method, source, tmp_path / "out", keep=["id"], format="parquet")
        rows = ray.data.read_parquet(str(tmp_path / "out"), include_paths=False).take_all()
        rows.sort(key=lambda row: row["index"])
        assert [row["id"] for row in rows] == [f"image {row}" for row in range(SAMPLES)]
        maps = np.stack([row["attributions"] for row in rows])
        np.testing.assert_allclose(maps, expected.attributions, atol=1e-6)
        ray.data.read_parquet(str(source)).map_batches(
            lambda batch: {**batch, "image": batch["image"] + 0}
        ).write_parquet(str(tmp_path / "images"))
        explained(method, tmp_path / "images", tmp_path / "again", keep=["id"])
    finally:
        ray.shutdown()
    found = load_attributions(tmp_path / "again")
    order = np.argsort([int(name.split()[1]) for name in found["id"]])
    np.testing.assert_allclose(found["attributions"][order], expected.attributions, atol=1e-6)
