"""Preprocessed arrays kept on disk, each named by all that it depends on."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...files import atomic_path, read_arrays
from ...identity import identity_digest
from ...parts import digest
from ..images.preprocessing import Preprocessing
from ..images.reading import Image, PathLike, VolumeError

# Counted up when the same options give other numbers.
_FORMAT = 1


class VolumeCache:
    """Preprocessed arrays in a folder, each in a file named by all that it depends on.

    That is the bytes of the image and of its mask, and the preprocessing: a file that has changed is never
    served, wherever it lies and whatever its date. Files that have become useless stay until they are
    deleted.

    Args:
        folder: Where the files are; made when there is something to write.
        preprocessing: What makes the arrays.
    """

    def __init__(self, folder: str | os.PathLike[str], preprocessing: Preprocessing) -> None:
        self.folder, self.preprocessing = Path(folder), preprocessing
        options = {item.name: getattr(preprocessing, item.name) for item in fields(preprocessing)}
        template = options.pop("template")
        if template is not None:
            options["template"] = template_identity(template)
        self.options = identity_digest({"format": _FORMAT, **options})

    def values(self, path: str, mask: str | None, scale: float | None) -> NDArray[np.float32]:
        """The array of a volume, read from the folder or made and written there."""
        parts = [self.options, file_digest(path), mask and file_digest(mask), scale]
        file = self.folder / f"{identity_digest(parts)}.npz"
        try:
            return read_arrays(file)["values"]
        except (FileNotFoundError, ValueError, KeyError):  # not there, or damaged
            made = self.preprocessing(path, mask=mask, scale=scale).values
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, values=made)
        return made


def file_digest(path: str | os.PathLike[str]) -> str:
    """A digest of an image's bytes; of Analyze and NIfTI pairs those of header, image and SPM's affine.

    Raises:
        VolumeError: If it cannot be read.
    """
    hashed = hashlib.sha256()
    try:
        for part in _files_of(Path(path)):
            hashed.update(part.suffix.encode())
            with part.open("rb") as stream:
                for block in iter(lambda: stream.read(1 << 20), b""):
                    hashed.update(block)
    except OSError as error:
        raise VolumeError(f"{error.filename}: cannot be read ({error.strerror}).") from error
    return hashed.hexdigest()


def template_identity(template: Image | PathLike) -> str:
    """A digest of a template's file, or of its numbers and affine where it is in memory."""
    if isinstance(template, str | os.PathLike):
        return file_digest(template)
    return digest(np.asarray(template.dataobj), np.asarray(template.affine))


def _files_of(path: Path) -> list[Path]:
    """The files that make up an image, the one named first."""
    name = path.name.removesuffix(".gz")
    pairs = {
        ".hdr": (".img", ".img.gz", ".mat"),
        ".img": (".hdr", ".hdr.gz", ".mat"),
        ".HEAD": (".BRIK", ".BRIK.gz"),
    }
    ending = Path(name).suffix
    stem = name.removesuffix(ending)
    others = [path.with_name(stem + other) for other in pairs.get(ending, ())]
    return [path, *(other for other in others if other.is_file())]
