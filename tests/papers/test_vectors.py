"""A paper's vector is made once, and again when its text or the encoder changes."""

import json

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from papers import meaning, vectors
from papers.archive import document
from papers.encoders import OnnxEncoder, WordLlamaEncoder
from papers.ingest import ingest
from papers.models import PaperVector
from tests.factories import make_daily_item, make_paper
from tests.papers.test_encoders import make_model
from tests.papers.test_ingest import DATE, NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def wordllama(settings):
    settings.ENCODER = "wordllama"
    return vectors.encoder()


def test_with_no_encoder_nothing_is_encoded():
    make_paper()

    assert vectors.encode_missing() == 0
    assert not PaperVector.objects.exists()


def test_a_vector_is_made_once_and_kept_in_half_the_bytes(wordllama):
    papers = [make_paper(title=title) for title in ("Robots", "Poems")]

    assert (vectors.encode_missing(), vectors.encode_missing()) == (2, 0)
    assert {len(row.vector) for row in PaperVector.objects.all()} == {512}
    assert vectors.vectors_of(wordllama, papers[::-1]) == pytest.approx(
        wordllama.encode([meaning.text(document(paper)) for paper in papers[::-1]]), abs=1e-3
    )


def test_what_is_missing_is_made_when_it_is_asked_for(wordllama, django_assert_num_queries):
    papers = [make_paper() for _ in range(3)]
    vectors.vectors_of(wordllama, papers[:1])

    found = vectors.vectors_of(wordllama, papers)

    assert found.shape == (3, 256)
    with django_assert_num_queries(2):
        assert vectors.vectors_of(wordllama, papers) == pytest.approx(found)
    assert vectors.vectors_of(wordllama, []).shape == (0, 256)


def test_a_paper_without_a_vector_is_close_to_nothing_whatever_a_model_says_of_an_empty_text(tmp_path):
    make_model(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(single="robot $A", special_tokens=[("robot", 1)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    encoder = OnnxEncoder(tmp_path)
    assert encoder.encode([""]).any()

    assert vectors.kept(encoder, [make_paper()]).tolist() == [[0, 0, 0]]


def test_a_new_text_has_a_new_vector_and_new_votes_have_none(wordllama):
    def come(**changes):
        page = json.dumps([make_daily_item("2607.00001", **changes)]).encode()
        ingest("huggingface", DATE, now=NOW, pages=[page])
        return vectors.encode_missing()

    assert [come(), come(upvotes=99), come(upvotes=99, title="Robots"), come(upvotes=99, title="Robots")] == [
        1,
        0,
        1,
        0,
    ]


def test_another_encoder_keeps_its_own(wordllama, settings, tmp_path):
    make_paper()
    vectors.encode_missing()
    settings.ENCODER, settings.ENCODER_PATH = "onnx", str(make_model(tmp_path))

    assert vectors.encode_missing() == 1
    assert len({row.encoder for row in PaperVector.objects.all()}) == 2
    assert isinstance(wordllama, WordLlamaEncoder)
