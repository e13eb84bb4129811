"""Texts as vectors, by which closeness in meaning is measured: wordllama's, or those of an ONNX model in a folder.

Off by default. Both are optional packages (``pip install paperboy[semantic]``), imported when they
are used; neither ever asks the network.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

BATCH = 32  # texts that a model sees at once
LONGEST_TOKENS = 256  # of one text, where the model's own tokenizer does not say
LONGEST_TEXT = 20_000  # characters; what comes later is past every model's end
INSTALL = "run `pip install paperboy[semantic]`"


class EncoderError(Exception):
    """An encoder that is asked for and cannot be used: what is missing, and what to do."""


class Encoder(Protocol):
    """A model of sentences. Two encoders with one ``name`` make the same vectors."""

    name: str

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, d], each of length 1; a text without a known word has zeros."""

    def __hash__(self) -> int: ...


@lru_cache(maxsize=4)
def load(kind: str, path: str) -> Encoder | None:
    """Return the encoder of the settings ENCODER and ENCODER_PATH, None where there is none; raise ``EncoderError``."""
    if kind == "":
        return None
    if kind == "wordllama":
        return WordLlamaEncoder()
    if kind == "onnx":
        return OnnxEncoder(Path(path))
    raise EncoderError(f"ENCODER is “{kind}”; write wordllama or onnx, or leave it empty.")


def _require(package: str, kind: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise EncoderError(f"ENCODER={kind} needs the package {package}: {INSTALL}, or leave ENCODER empty.")


def _normalised(vectors: npt.NDArray[Any]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0).astype(np.float32)
    return scaled


class WordLlamaEncoder:
    """The mean of a text's word vectors: fast, and as good as no grammar allows. Its weights come in its wheel."""

    def __init__(self) -> None:
        _require("wordllama", "wordllama")
        import wordllama  # noqa: PLC0415 - an optional package

        # Left to itself it looks for its weights in the cache folder, and then on the network.
        folder = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self.name = f"wordllama {version('wordllama')}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        return _normalised(self._model.embed([text[:LONGEST_TEXT] for text in texts], batch_size=BATCH))


class OnnxEncoder:
    """A sentence encoder of any maker: the mean of what its model says of each token, padding left out."""

    def __init__(self, folder: Path) -> None:
        _require("onnxruntime", "onnx")
        _require("tokenizers", "onnx")
        files = [folder / "model.onnx", folder / "tokenizer.json"]
        for file in files:
            if not file.is_file():
                raise EncoderError(
                    f"{file} is not there: set ENCODER_PATH to a folder that holds model.onnx and tokenizer.json."
                )
        import onnxruntime  # noqa: PLC0415 - optional packages
        from tokenizers import Tokenizer  # noqa: PLC0415

        try:
            self._model = onnxruntime.InferenceSession(files[0], providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(files[1]))
        except Exception as error:  # each package has its own, and the operator needs to know which file it was
            raise EncoderError(f"the encoder in {folder} cannot be read: {error}") from error
        self._prepare()
        self.name = f"onnx {_digest(files)}"

    def _prepare(self) -> None:
        if self._tokenizer.truncation is None:
            self._tokenizer.enable_truncation(LONGEST_TOKENS)
        if self._tokenizer.padding is None:
            self._tokenizer.enable_padding()
        else:  # a fixed length would make every title as long as the longest abstract
            self._tokenizer.enable_padding(**{**self._tokenizer.padding, "length": None})
        self._inputs = {wanted.name for wanted in self._model.get_inputs()}
        if unknown := self._inputs - {"input_ids", "attention_mask", "token_type_ids"}:
            raise EncoderError(f"model.onnx asks for {', '.join(sorted(unknown))}, which no sentence encoder has.")

    def encode(self, texts: Sequence[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))  # alike in length, little padding
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        found = [self._encode([texts[number][:LONGEST_TEXT] for number in batch]) for batch in batches]
        if not found:
            return self._encode([""])[:0]
        vectors = np.empty_like(np.concatenate(found))
        vectors[order] = np.concatenate(found)
        return vectors

    def _encode(self, texts: list[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(texts)
        mask = np.array([text.attention_mask for text in encoded], dtype=np.int64)
        given = {
            "input_ids": np.array([text.ids for text in encoded], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([text.type_ids for text in encoded], dtype=np.int64),
        }
        said = self._model.run(None, {name: given[name] for name in self._inputs})[0]
        if said.ndim == 2:  # the model has pooled them itself
            return _normalised(said)
        weights = mask[:, :, None].astype(said.dtype)
        return _normalised((said * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1))


def _digest(files: Sequence[Path]) -> str:
    """Return what tells these files from any others: a new model's vectors must not meet an old one's."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


# Kept -------------------------------------------------------------------------------------------


def packed(vector: Vectors) -> bytes:
    """Return a vector as bytes of half its size; float16 loses nothing that an order would show."""
    return vector.astype("<f2").tobytes()


def unpacked(kept: bytes) -> Vectors:
    """Return float32[d] of what ``packed`` made of one vector."""
    return np.frombuffer(kept, dtype="<f2").astype(np.float32)
