"""Encoders make vectors by which texts of one meaning are close, and say what is missing where they cannot."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from django.core import checks
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from papers.apps import encoder as check
from papers.encoders import EncoderError, OnnxEncoder, WordLlamaEncoder, load, packed, unpacked

WORDS = {"[PAD]": 0, "robot": 1, "drone": 2, "poem": 3, "[UNK]": 4}
# What the model says of each token; of padding it says something loud, which must not be heard.
TABLE = np.array([[99, 99, 99], [1, 0.2, 0], [1, 0, 0.2], [0, 1, 1], [0, 0, 0]], dtype=np.float32)


def make_model(folder: Path, *, inputs=("input_ids", "attention_mask"), table=TABLE, pooled=False) -> Path:
    """Write a sentence encoder that looks each token up in ``table``."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["states"])]
    if pooled:
        nodes.append(helper.make_node("ReduceMax", ["states"], ["out"], axes=[1], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", ["states"], ["out"]))
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs]
    said = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3] if pooled else ["n", "t", 3])
    graph = helper.make_graph(nodes, "tiny", given, [said], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


# wordllama ----------------------------------------------------------------------------------------


def test_wordllama_finds_texts_of_one_meaning_close_without_a_network(wordllama):
    vectors = wordllama.encode(["autonomous drones", "self-flying aircraft", "medieval poetry", "", "word " * 9_000])

    closeness = vectors @ vectors.T
    assert closeness[0, 1] > closeness[0, 2] + 0.1
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0, 1], abs=1e-5)


def test_wordllamas_name_says_its_version(wordllama):
    assert wordllama.name.startswith("wordllama 0.")


# ONNX ---------------------------------------------------------------------------------------------


def test_a_text_is_the_mean_of_its_tokens_however_long_the_others_are(tmp_path):
    encoder = OnnxEncoder(make_model(tmp_path))

    alone = encoder.encode(["robot poem"])
    together = encoder.encode(["robot poem", "drone " * 50, "poem"])

    mean = (TABLE[1] + TABLE[3]) / 2
    assert alone[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert together[0] == pytest.approx(alone[0], abs=1e-6)


def test_the_order_is_that_of_the_texts_over_all_batches(tmp_path):
    encoder = OnnxEncoder(make_model(tmp_path))
    texts = [("robot " if n % 2 else "poem ") * (n + 1) for n in range(70)]

    vectors = encoder.encode(texts)

    first = vectors[:, 0] > vectors[:, 1]
    assert first.tolist() == [bool(n % 2) for n in range(70)]


def test_a_long_text_is_cut_and_an_empty_one_is_nowhere(tmp_path):
    vectors = OnnxEncoder(make_model(tmp_path)).encode(["robot " * 300 + "poem " * 30_000, "", "robot"])

    assert vectors[0] == pytest.approx(vectors[2], abs=1e-6)
    assert vectors[1].tolist() == [0, 0, 0]


def test_a_model_may_want_the_types_of_tokens_or_pool_by_itself(tmp_path):
    inputs = ("input_ids", "attention_mask", "token_type_ids")

    vectors = OnnxEncoder(make_model(tmp_path, inputs=inputs, pooled=True)).encode(["robot drone"])

    most = np.array([1, 0.2, 0.2])
    assert vectors[0] == pytest.approx(most / np.linalg.norm(most), abs=1e-6)


def test_no_text_needs_no_vector(tmp_path, wordllama):
    assert len(OnnxEncoder(make_model(tmp_path)).encode([])) == len(wordllama.encode([])) == 0


def test_another_model_has_another_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    names = {OnnxEncoder(make_model(tmp_path / name, table=TABLE * n)).name for name, n in (("a", 1), ("b", 2))}

    assert len(names) == 2
    assert OnnxEncoder(tmp_path / "a").name in names


def test_a_model_that_wants_what_no_sentence_has_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="asks for pixel_values"):
        OnnxEncoder(make_model(tmp_path, inputs=("input_ids", "pixel_values")))


# At the start -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "files", "remedy"),
    [
        ("bert", {}, "write wordllama or onnx"),
        ("onnx", {}, "set ENCODER_PATH"),
        ("onnx", {"model.onnx": b""}, "tokenizer.json is not there"),
        ("onnx", {"model.onnx": b"no model", "tokenizer.json": b"{}"}, "cannot be read"),
    ],
)
def test_an_encoder_that_cannot_be_loaded_stops_the_start(kind, files, remedy, tmp_path, settings):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    settings.ENCODER, settings.ENCODER_PATH = kind, str(tmp_path)

    (error,) = check(None)

    assert isinstance(error, checks.Error)
    assert remedy in error.msg


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(EncoderError, match="pip install paperboy"):
        WordLlamaEncoder()


def test_without_an_encoder_there_is_nothing_to_complain_of(settings):
    assert (settings.ENCODER, load("", ""), check(None)) == ("", None, [])


def test_half_the_bytes_are_enough(wordllama):
    (vector,) = wordllama.encode(["robot"])

    assert len(packed(vector)) == 2 * len(vector)
    assert unpacked(packed(vector)) == pytest.approx(vector, abs=1e-3)
