"""Read the state dict in a ``.pt`` file of PyTorch without PyTorch, and without executing anything in it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from audio_classifier.convert.torch_pickle import parse_state_dict
from audio_classifier.errors import ArtifactFormatError

PICKLE: Final = "data.pkl"
MAX_PICKLE_BYTES: Final = 1 << 20  # 35 kB for 312 tensors
MAX_DIRECTORY_BYTES: Final = 1 << 20  # 20 kB for 312 tensors; zipfile takes 13 times as much memory
HINT: Final = "Use a file that torch.save of PyTorch 1.6 or later has written; it may be truncated."

# The end of a zip file (APPNOTE.TXT, 4.3.14 to 4.3.16).
END: Final = struct.Struct("<4s8xIIH")  # size and offset of the directory, length of the comment
LOCATOR: Final = struct.Struct("<4s4xQ4x")  # offset of the following record
END_64: Final = struct.Struct("<4s36xQ8x")  # size of the directory


def read_state_dict(path: Path, *, max_bytes: int) -> dict[str, NDArray[Any]]:
    """Read the tensors of a zip archive that ``torch.save`` has written.

    Parameters
    ----------
    path
        The ``.pt`` file.
    max_bytes
        The maximum size of the contents.

    Returns
    -------
    The arrays by name, not writable; their memory is that of the file.

    Raises
    ------
    ArtifactFormatError
        If it is anything other than an archive of uncompressed, dense tensors by name.
    """
    with path.open("rb") as file:
        try:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                return _read(archive, max_bytes)
        except ArtifactFormatError as error:
            raise ArtifactFormatError(f"{path.name}: {error}", hint=error.hint or HINT) from error
        except Exception as error:  # zipfile raises many kinds of exceptions for damaged archives
            raise ArtifactFormatError(
                f"{path.name}: its zip archive is damaged: {error}", hint=HINT
            ) from error


def _check_directory(file: BinaryIO) -> None:
    """Refuse archives whose directory would take much memory, before zipfile reads it."""
    size = file.seek(0, 2)
    length = END_64.size + LOCATOR.size + END.size
    file.seek(max(0, size - length))
    end = file.read().rjust(length, b"\0")
    signature, directory, _, comment = END.unpack_from(end, length - END.size)
    if signature != b"PK\5\6" or comment:
        raise ArtifactFormatError("it must be a zip archive of PyTorch")
    signature, offset = LOCATOR.unpack_from(end, END_64.size)
    if signature == b"PK\6\7":  # PyTorch writes both records
        signature, directory = END_64.unpack_from(end)
        if signature != b"PK\6\6" or offset != size - length:
            raise ArtifactFormatError("the end of its zip archive is damaged")
    if directory > MAX_DIRECTORY_BYTES:
        raise ArtifactFormatError(
            f"its zip directory must have at most {MAX_DIRECTORY_BYTES} bytes, got {directory}"
        )


def _read(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, NDArray[Any]]:
    members = {member.filename: member for member in archive.infolist()}
    total = sum(member.file_size for member in archive.infolist())
    if total > max_bytes:  # members may overlap
        raise ArtifactFormatError(f"its contents must have at most {max_bytes} bytes, got {total}")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        raise ArtifactFormatError("the members of its zip archive must not be compressed")
    pickles = [name for name in members if name.count("/") == 1 and name.endswith(f"/{PICKLE}")]
    if len(pickles) != 1:
        raise ArtifactFormatError(f"it must contain one folder with {PICKLE}, got {len(pickles)}")
    folder = pickles[0].removesuffix(PICKLE)
    if members[pickles[0]].file_size > MAX_PICKLE_BYTES:
        raise ArtifactFormatError(f"{PICKLE} must have at most {MAX_PICKLE_BYTES} bytes")
    byte_order = members.get(f"{folder}byteorder")
    if byte_order is not None and (byte_order.file_size > 16 or archive.read(byte_order) != b"little"):
        raise ArtifactFormatError("its numbers must be in little-endian byte order")
    views = parse_state_dict(archive.read(pickles[0]))
    contents: dict[str, bytes] = {}  # tensors may share a storage
    arrays = {}
    for name, view in views.items():
        storage = view.storage
        member = members.get(f"{folder}data/{storage.key}")
        expected = storage.count * storage.dtype.itemsize
        if member is None or member.file_size != expected:
            found = "none" if member is None else member.file_size
            raise ArtifactFormatError(f"the storage {storage.key!r} must have {expected} bytes, got {found}")
        if storage.key not in contents:
            contents[storage.key] = archive.read(member)
        arrays[name] = view.array(np.frombuffer(contents[storage.key], storage.dtype))
    return arrays
