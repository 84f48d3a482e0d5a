"""How does a text become numbers? The promise of an encoder, which one is used, and the one that comes with the desk.

The default is wordllama (Miller, 2024): a static embedding, 256 numbers, whose weights are in its package. It needs
neither network nor GPU, takes a fraction of a millisecond for a headline, and gives the same numbers everywhere.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from prometheus.core.errors import DataError
from prometheus.core.ids import Json

Vector: TypeAlias = npt.NDArray[np.float32]

DEFAULT = "prometheus.features.text_encoder:wordllama"

# Words a piece. Static embeddings are means over words; over ten thousand of them all filings look alike.
CHUNK_WORDS = 256


@runtime_checkable
class TextEncoder(Protocol):
    """Encodes one text at a time, so that its numbers depend on nothing but itself. Deterministic; no network."""

    @property
    def name(self) -> str:
        """Which encoder, in which version: kept beside each vector."""

    @property
    def dimension(self) -> int:
        """How many numbers a text becomes."""

    def encode(self, text: str) -> Vector:
        """(dimension,), of length 1; all 0 for a text without words."""


def choose_encoder(params: Mapping[str, Json]) -> TextEncoder:
    """The encoder that the job's parameter `encoder` ("package.module:name" of a function that makes one) asks for.

    Raises `DataError` if there is none.
    """
    target = params.get("encoder", DEFAULT)
    allowed = "package.module:name of a function without arguments that returns a TextEncoder"
    if not isinstance(target, str) or ":" not in target:
        raise DataError(f"parameter encoder of the text_embeddings job is {target!r}", allowed=allowed)
    place, _, name = target.partition(":")
    try:
        made: object = getattr(importlib.import_module(place), name)()
    except Exception as error:  # a user's module may raise anything
        raise DataError(
            f"the text encoder {target!r} cannot be made: {type(error).__name__}: {error}", allowed=allowed
        ) from error
    if not isinstance(made, TextEncoder):
        raise DataError(f"{target!r} made {type(made).__name__}, which is no TextEncoder", allowed=allowed)
    return made


def wordllama() -> TextEncoder:
    """The encoder in wordllama's package, read when the first text comes.

    Reading it raises `FileNotFoundError` if the weights are not there: nothing is ever downloaded.
    """
    return _WordLlamaEncoder()


class _WordLlamaEncoder:
    """Pieces of `CHUNK_WORDS` words, each brought to length 1, and their mean brought to length 1."""

    dimension = 256

    def __init__(self) -> None:
        self.name = f"wordllama-{version('wordllama')}/{self.dimension}"

    @cached_property
    def _model(self) -> Any:  # the package has no types
        with _logging_as_it_was():
            import wordllama as package

            # The weights lie in the package's own folder; without naming it, it would look in the user's cache and
            # then ask the network.
            folder = Path(package.__file__).parent
            return package.WordLlama.load(dim=self.dimension, cache_dir=folder, disable_download=True)

    def encode(self, text: str) -> Vector:
        words = text.split()
        total = np.zeros(self.dimension, dtype=np.float32)
        for first in range(0, len(words), CHUNK_WORDS):
            # One piece a call: in a batch, pieces would be padded to the longest.
            piece = self._model.embed([" ".join(words[first : first + CHUNK_WORDS])])
            total += unit(np.asarray(piece[0], dtype=np.float32))
        return unit(total)


def unit(vector: Vector) -> Vector:
    """The vector brought to length 1; one of no length stays as it is."""
    length = np.sqrt((vector * vector).sum())
    return vector / length if length > 0.0 else vector


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """The package sets up logging for the whole process when it is imported; that is ours to decide."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
