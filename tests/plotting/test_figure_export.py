import base64
import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_pli.plotting import embedding_map, figure_to_png_bytes, save_figure, to_data_uri


@pytest.mark.parametrize(
    "ending, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
)
def test_saves_by_ending_and_leaves_nothing_else(tmp_path, clusters, ending, start):
    path = save_figure(embedding_map(*clusters), tmp_path / "new" / f"map.{ending}", dpi=50)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]


def test_resolution_follows_dpi(tmp_path, clusters):
    figure = embedding_map(*clusters)
    small, large = (
        Image.open(save_figure(figure, tmp_path / f"{dpi}.png", dpi=dpi)).width for dpi in (40, 80)
    )
    assert large == pytest.approx(2 * small, abs=3)


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(Figure(), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_unknown_ending_is_quoted(tmp_path):
    with pytest.raises(ValueError, match=r"'pngg'.*Did you mean 'png'"):
        save_figure(Figure(), tmp_path / "map.pngg")


def test_bytes_are_reproducible_and_the_uri_holds_them(clusters):
    first, again = (figure_to_png_bytes(embedding_map(*clusters), dpi=40) for _ in range(2))
    assert first == again
    assert Image.open(io.BytesIO(first)).format == "PNG"
    head, _, body = to_data_uri(embedding_map(*clusters), dpi=40).partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(body) == first
