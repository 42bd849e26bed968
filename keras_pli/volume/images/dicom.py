"""A scanner's DICOM series made NIfTI files by dcm2niix."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ...checks import quoted
from ...files import sweep, temporary_prefix
from ...optional import imported
from .reading import PathLike, VolumeError


def convert_dicom(
    folder: PathLike, out: PathLike, *, name: str = "%f_%s_%p", overwrite: bool = False
) -> list[Path]:
    """Converts the DICOM series in a folder to compressed NIfTI files, by dcm2niix.

    Orientation, units and slice order are dcm2niix's (Li et al. 2016, "The first step for neuroimaging data
    analysis: DICOM to NIfTI conversion"). Beside each image it writes a `.json` file of the scanner's
    settings, without name and dates. An image may show a face, all the same: deface before sharing.

    Args:
        folder: Where the series are, in whatever order and up to five folders deep.
        out: Where the NIfTI files go; made if it is missing. Nothing appears there before all is converted.
        name: How to call them, in dcm2niix's notation: %f the folder, %s the series' number, %p the protocol,
            %i the patient's ID, …
        overwrite: Replace files that are there.

    Returns:
        The NIfTI files, sorted. Some may have several frames (diffusion, function), which `read_volume`
        refuses.

    Raises:
        VolumeError: If the folder is missing or holds no DICOM series, or dcm2niix fails; says what it said.
        FileExistsError: If `out` holds such files already.
        ImportError: If dcm2niix is not installed.

    Example:
        >>> from nibabel.testing import data_path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     slices = [shutil.copy(f"{data_path}/{number}.dcm", folder) for number in (0, 1)]
        ...     [file.name for file in convert_dicom(folder, f"{folder}/nifti", name="scan_%s")]
        ['scan_12.nii.gz']
    """
    folder, out = Path(folder), Path(out)
    if not folder.is_dir():
        raise VolumeError(f"{folder}: there is no such folder of DICOM files.")
    converter = imported("dcm2niix", "Converting DICOM", extra="dicom").bin
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    with tempfile.TemporaryDirectory(prefix=temporary_prefix(), dir=out) as made:
        # Its settings from the command line alone: not from a file in the home folder (-g i).
        options = ["-g", "i", "-z", "i", "-b", "y", "-f", name, "-o", made]
        done = _run([converter, *options, os.fspath(folder)])
        files = sorted(Path(made).iterdir())
        images = [file.name for file in files if file.name.endswith(".nii.gz")]
        if done.returncode or not images:
            raise VolumeError(
                f"{folder}: dcm2niix made no image of it. It says: {_last_said(done)}"
            )
        present = [file.name for file in files if (out / file.name).exists()]
        if present and not overwrite:
            raise FileExistsError(
                f"{out} holds {quoted(present, most=3)} already; `overwrite=True` replaces them."
            )
        for file in files:
            shutil.move(file, out / file.name)
    return [out / image for image in images]


def _run(command: list[str]) -> Any:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ImportError(f"dcm2niix cannot be started: {error}.") from error


def _last_said(done: Any) -> str:
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return " ".join(lines[-2:])[:300] or f"exit code {done.returncode}."
