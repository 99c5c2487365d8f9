"""Files out of tar archives, read as a stream, never unpacked; an archive that was cut or damaged is refused."""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from exuvia.errors import DataError

UNREADABLE = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, tarfile.TarError)
"""What a damaged file may raise while it is decompressed or read."""
BLOCK = 512


def archive_files(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the wanted files of a .tar, .tar.gz or .tar.xz.

    Raises:
        DataError: it is no archive, or it does not go on to its end.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() and wanted(member.name) else None
                if stream is not None:
                    yield member.name, stream.read()
            # a header that makes no sense ends the loop as the closing block of zeros does
            assert archive.fileobj is not None
            archive.fileobj.seek(archive.offset)
            end = archive.fileobj.read(BLOCK)
            if len(end) < BLOCK or end.strip(b"\0"):
                raise DataError(f"{path} is damaged: the archive breaks off at byte {archive.offset}; get it again")
    except UNREADABLE as error:
        raise DataError(f"{path} is no readable archive ({error})") from None
