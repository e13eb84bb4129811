"""What an operator may say of the sources, and what is refused before anything starts."""

import pytest

from papers.apps import sources
from papers.sources import SOURCES, huggingface, polled


def complaints() -> list[str]:
    return [str(message.msg) for message in sources(None)]


def test_the_defaults_are_right(settings):
    settings.SOURCES = ["huggingface", "arxiv"]

    assert complaints() == []
    assert list(polled()) == ["huggingface", "arxiv"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SOURCES", ["huggingfaec"], "SOURCES names “huggingfaec”, which is no source; known are: arxiv, huggingface."),
        ("ARXIV_CATEGORIES", ["cs.CL", "cs CL"], "“cs CL” in ARXIV_CATEGORIES is no arXiv category"),
        ("ARXIV_CATEGORIES", [], "“” in ARXIV_CATEGORIES is no arXiv category"),
        ("ARXIV_ANNOUNCED", ["new", "replace"], "ARXIV_ANNOUNCED is new, cross or both"),
        ("ARXIV_ANNOUNCED", [], "ARXIV_ANNOUNCED is new, cross or both"),
    ],
)
def test_a_setting_that_would_read_nothing_is_refused(settings, name, value, said):
    setattr(settings, name, value)

    (complaint,) = complaints()
    assert said in complaint


def test_hugging_face_is_told_the_token_where_there_is_one(settings):
    assert huggingface.headers() == {}

    settings.HF_TOKEN = "hf_secret"

    assert SOURCES["huggingface"].headers() == {"Authorization": "Bearer hf_secret"}
    assert SOURCES["arxiv"].headers() == {}
