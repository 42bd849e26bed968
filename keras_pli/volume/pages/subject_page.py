"""One page on one subject: slices through the image with its maps, in a file that needs nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...checks import checked_by_name, checked_number, one_of
from ...files import write_text
from ...plotting.anatomy import PLANES
from .page_volumes import PageVolumes, page_volumes

_PLANE = (
    '<figure><figcaption></figcaption><canvas tabindex="0" role="img" aria-describedby="keys"></canvas>'
    '<input type="range" min="0" step="1" aria-label="{} slice"></figure>'
)


def subject_page(
    path: str | os.PathLike[str],
    image: Any,
    maps: Mapping[str, ArrayLike],
    *,
    affine: ArrayLike | None = None,
    title: str = "Subject",
    prediction: str | None = None,
    truth: str | None = None,
    probabilities: Mapping[str, float] | None = None,
    verdicts: str | Sequence[str] = (),
    outlines: Mapping[str, ArrayLike] | None = None,
    at_mm: ArrayLike | None = None,
    convention: str = "neurological",
    signed: bool | None = None,
    percentile: float = 99.9,
    value_range: tuple[float, float] | None = None,
    label: str = "attribution",
    megabytes: float = 15.0,
) -> Path:
    """Writes a page on which one moves through a volume and its maps: one HTML file, no network.

    There are three orthogonal planes, upright by the affine, with a slider each; a click moves all of them.
    One chooses the map, its opacity and a value below which it is hidden, and reads the position in
    millimetres and all values there. The page follows the browser's light or dark appearance, works by
    keyboard alone and on a telephone, and needs a browser of 2023 or later. A link may name place and map:
    `page.html#mm=-24,-18,-16&map=Grad-CAM`.

    The volumes are cropped to the body and what reaches half of a map's scale, and stored in 8 bits: the
    values shown are within 1/252 of a map's scale, and 1/510 of the image's range.

    Args:
        path: Where to write, such as "sub-01.html".
        image: Volume of shape `(X, Y, Z)`, with or without an axis of channels, of which the mean is drawn;
            or what has an `affine`: an image of nibabel, or a `PreprocessedVolume`.
        maps: Maps by name, such as those of several methods, of the image's shape, with or without channels;
            each has its own scale. An empty mapping shows the image alone.
        affine: From an index of the image to millimetres, shape `(4, 4)`; by default the image's own.
        title: Heading of the page.
        prediction: What the network says.
        truth: What is known.
        probabilities: Probabilities in [0, 1] by the names of the classes.
        verdicts: What to believe of the maps, a line or several.
        outlines: Masks by name, of the image's shape, whose edges are drawn.
        at_mm: Where to start, x, y and z in millimetres; by default where the first map is strongest.
        convention: What the page starts with, "neurological" (left is left) or "radiological".
        signed: Whether maps keep their signs; by default where there are negative values.
        percentile: Share of a map's voxels, in percent, that lie within its scale.
        value_range: Values of the image drawn black and white; by default of its body, half a percent at
            each end left out.
        label: What the maps measure.
        megabytes: Size of the page, above which all volumes are shown at a half or less of their resolution;
            the page says so.

    Returns:
        The path.

    Raises:
        TypeError: If `maps` is no mapping.
        ValueError: If there is no affine or it cannot be inverted, shapes do not fit, a value is not finite,
            a probability lies outside [0, 1], or `at_mm` lies outside the volume.

    Example:
        >>> import tempfile
        >>> image, truth = np.zeros((8, 8, 8)), np.zeros((8, 8, 8))
        >>> image[2:6, 2:6, 2:6], truth[3, 3, 3] = 1.0, 1.0
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = subject_page(folder + "/sub-01.html", image, {"Grad-CAM": truth}, affine=np.eye(4))
        ...     page.read_text(encoding="utf-8")[:15]
        '<!doctype html>'
    """
    checked_number(megabytes, "megabytes", least=0.0)
    one_of(convention, ("neurological", "radiological"), "convention")
    facts = _facts(prediction, truth, probabilities, verdicts)
    whole = page_volumes(
        image,
        maps if maps == {} else checked_by_name(maps, "maps"),
        affine=affine,
        outlines=outlines or {},
        at_mm=at_mm,
        value_range=value_range,
        scale={"signed": signed, "percentile": percentile},
    )
    factor, volumes, packed = 1, whole, whole.packed()
    while sum(map(len, packed.values())) > 1e6 * megabytes and factor < min(whole.image.shape):
        factor += 1
        volumes = whole.shrunk(factor)
        packed = volumes.packed()
    described = {**volumes.described(), "radiological": convention == "radiological"}
    for one in described["maps"]:
        one["measure"] = f"{label} ({one['measure']})" if one["measure"] else label
    return write_text(path, _html(title, facts, described, packed, _note(volumes, factor)))


def _html(
    title: str, facts: str, described: dict[str, Any], packed: Mapping[str, str], note: str
) -> str:
    own = files(__package__) / "viewer"
    parts = {name: (own / f"viewer.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    volumes = "\n".join(
        f'<script type="text/plain" id="{name}">{letters}</script>'
        for name, letters in packed.items()
    )
    return Template(parts["html"]).substitute(
        title=escape(title),
        style=parts["css"],
        facts=facts,
        note=escape(note),
        planes="".join(_PLANE.format(name.capitalize()) for name in PLANES),
        # Names come from the caller: none of them may end the element.
        data=json.dumps(described).replace("<", "\\u003c"),
        volumes=volumes,
        script=parts["js"],
    )


def _facts(
    prediction: str | None,
    truth: str | None,
    probabilities: Mapping[str, float] | None,
    verdicts: str | Sequence[str],
) -> str:
    """What stands above the slices, in HTML."""
    said = [("Prediction", prediction), ("Truth", truth)]
    pairs = "".join(
        f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in said if text is not None
    )
    parts = [f"<dl>{pairs}</dl>"] if pairs else []
    if probabilities:
        rows = "".join(_chance(name, value) for name, value in probabilities.items())
        parts.append(f'<table class="chances" aria-label="Probabilities">{rows}</table>')
    html = f'<div class="facts">{"".join(parts)}</div>' if parts else ""
    lines = verdicts.splitlines() if isinstance(verdicts, str) else list(verdicts)
    if lines:
        html += f'<div class="verdict">{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'
    return html


def _chance(name: str, value: float) -> str:
    if not 0 <= value <= 1:
        raise ValueError(f"Probabilities must lie in [0, 1]. Received: {value} of {name!r}.")
    length = f'<i style="width:{100 * value:.1f}%"></i>'
    return (
        f'<tr><th scope="row">{escape(str(name))}</th><td>{value:.3f}</td>'
        f'<td class="length">{length}</td></tr>'
    )


def _note(volumes: PageVolumes, factor: int) -> str:
    """What a reader must know of the grid."""
    said = []
    if volumes.oblique:
        said.append(
            f"The grid is oblique to the body by {volumes.degrees:.0f}°: letters and the places of slices "
            "are approximate, the position of the crosshair is exact."
        )
    if factor > 1:
        size = " × ".join(f"{edge:.3g}" for edge in np.linalg.norm(volumes.affine[:3, :3], axis=0))
        said.append(
            f"To keep the page small each voxel is the mean of {factor} × {factor} × {factor} of the "
            f"original, {size} mm."
        )
    return " ".join(said)
