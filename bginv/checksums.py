"""What tells that a file is as it was written: JSON with a seal, other files with a trailer."""

import json
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

SEAL = "crc32"
OF_A_WHOLE = 0x2144DF1C
"""CRC-32 of any content that its own CRC-32 stands behind, little end first."""


def sealed_json(content: Mapping[str, Any], indent: int | None = None) -> str:
    """A mapping as JSON, with the CRC-32 of the rest under `SEAL`."""
    return json.dumps({**content, SEAL: _content_seal(content)}, indent=indent)


def read_sealed_json(text: str | bytes) -> dict[str, Any]:
    """What `sealed_json` wrote, without the seal; text of older versions has none.

    Raises:
        ValueError: another text, or one that has changed since.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no settings or results")
    seal = content.pop(SEAL, None)
    if seal is not None and seal != _content_seal(content):
        raise ValueError("it has changed since it was written")
    return content


def _content_seal(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content).encode())


def trailer(number: int) -> bytes:
    """What stands behind the content of a file that `has_trailer` checks.

    Readers of images and of NumPy's arrays pass over it.

    Args:
        number: CRC-32 of the content.
    """
    return number.to_bytes(4, "little")


def has_trailer(path: pathlib.Path) -> bool:
    """Whether a file is there and holds what was written, its CRC-32 behind it."""
    return path.is_file() and content_number(path) == OF_A_WHOLE


def content_number(path: pathlib.Path) -> int:
    """CRC-32 of a file.

    Raises:
        FileNotFoundError: it says so.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    number = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            number = zlib.crc32(chunk, number)
    return number
