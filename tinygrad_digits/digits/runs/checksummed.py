"""Files of arrays under a seal: safetensors, in which no byte changes unnoticed.

The metadata hold the SHA-256 of the whole file, taken with 64 zeros in the digest's place. Nothing
of such a file is ever executed, as a pickle would be.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Array
from ..errors import RunError
from ..extras import extra

BLANK = b"0" * 64
SEAL = re.compile(rb'(?<="sha256":")[0-9a-f]{64}(?=")')  # inside a string the quotes are escaped


def seal(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file that `unseal` opens; MissingExtraError without safetensors.

    >>> b"sha256" in seal({"w": np.zeros(2)}, {"format": "example"})
    True
    """
    with extra():
        from safetensors import numpy as safetensors
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    blank = _sort(safetensors.save(whole, {**metadata, "sha256": BLANK.decode()}))
    return SEAL.sub(_digest(blank), blank, count=1)


def _sort(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors hashes them, at random.

    The header is as long as it was, so that no array moves.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    metadata = dict(sorted(header.pop("__metadata__").items()))
    content = {"__metadata__": metadata, **header}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return (end - 8).to_bytes(8, "little") + text.ljust(end - 8) + data[end:]


def unseal(
    path: Path, *forms: str, unsealed: frozenset[str] = frozenset()
) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a sealed file whose metadata's "format" is one of these.

    A file without a seal is let through if its metadata have exactly the keys `unsealed`. Raises
    RunError, naming the file, where it is truncated, altered or not of this program.
    """
    with extra():
        from safetensors import SafetensorError
        from safetensors import numpy as safetensors
    data = path.read_bytes()
    try:
        header = data[8 : 8 + int.from_bytes(data[:8], "little")]
        metadata = dict(json.loads(header).get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is damaged, or not a safetensors file ({error})") from error
    if metadata.get("format") not in forms:
        raise RunError(f"{path} was not saved by this program: it lacks {forms[0]!r}")
    if metadata.keys() != unsealed:
        _verify(path, data, header)
    try:
        return safetensors.load(data), metadata
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error})") from error


def _verify(path: Path, data: bytes, header: bytes) -> None:
    found = SEAL.search(header)
    if found is None or found[0] != _digest(SEAL.sub(BLANK, data, count=1)):
        raise RunError(
            f"{path} is damaged: its checksum is not that of its content, so it was altered or cut"
        )


def _digest(blank: bytes) -> bytes:
    return hashlib.sha256(blank).hexdigest().encode()


def parse_facts(path: Path, metadata: Mapping[str, str], *names: str) -> list[Any]:
    """The values of metadata that hold JSON; RunError where one is missing or is not JSON."""
    try:
        return [json.loads(metadata[name]) for name in names]
    except KeyError as error:
        raise RunError(f"{path} is damaged: its metadata lack {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: its metadata are not JSON ({error})") from error
