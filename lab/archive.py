"""Reads files from tar archives as a stream, without unpacking them; refuses truncated or damaged archives."""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from exuvia.errors import DataError

UNREADABLE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, tarfile.TarError)
"""Exceptions that reading or decompressing a damaged file can raise."""
BLOCK = 512


def archive_files(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the wanted files of a .tar, .tar.gz or .tar.xz.

    Raises:
        DataError: the file is not an archive, or it is truncated.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() and wanted(member.name) else None
                if stream is not None:
                    yield member.name, stream.read()
            # an invalid header ends the loop like the closing block of zeros
            assert archive.fileobj is not None
            archive.fileobj.seek(archive.offset)
            end = archive.fileobj.read(BLOCK)
            if len(end) < BLOCK or end.strip(b"\0"):
                raise DataError(f"{path} is damaged: the archive ends at byte {archive.offset}; download it again")
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable archive ({error})") from None
