"""With an encoder, an interest finds papers by its meaning too; its vectors are made once."""

import datetime as dt
import json
from itertools import pairwise

import pytest
from django.core.management import call_command

from papers import vectors
from papers.likeness import THRESHOLD
from papers.models import Paper
from papers.query import parse
from papers.search import build_index, search
from subscribers.interests import delete_orphans, unfollow
from subscribers.meanings import Matcher, vectors_of
from subscribers.models import InterestVector
from tests.factories import make_paper, make_subscriber
from tests.papers.test_encoders import make_model

pytestmark = pytest.mark.django_db
DATE = dt.date(2026, 7, 1)


@pytest.fixture(autouse=True)
def _encoder(settings, tmp_path):
    settings.ENCODER, settings.ENCODER_PATH = "onnx", str(make_model(tmp_path))


def make_day():
    """Return a paper that holds the word robot, one that means it, and one that does neither; the last one first."""
    titles = ("A poem", "A drone", "A robot")
    return [make_paper(title=title, abstract="", list_date=DATE) for title in titles]


def answers(papers, *lines: str):
    matcher, index = Matcher(papers), build_index(papers)
    found = matcher.match(index, [parse(line) for line in lines])
    rows = [found.rows[first:end].tolist() for first, end in pairwise(found.indptr.tolist())]
    return [{index.documents[int(index.ids[row])].title for row in line} for line in rows]


def test_an_interest_finds_what_it_means(settings):
    papers = make_day()

    assert answers(papers, "robot", '"robot"', "robot -drone") == [{"A robot", "A drone"}, {"A robot"}, {"A robot"}]
    settings.ENCODER = ""
    assert answers(papers, "robot", '"robot"', "robot -drone") == [{"A robot"}] * 3


def test_the_preview_says_why(capsys):
    make_day()

    call_command("preview", "--interest", "robot", "--date", f"{DATE}", "--json")

    found = {paper["title"]: paper["why"] for paper in json.loads(capsys.readouterr().out)["papers"]}
    assert found["A robot"] == [{"interest": "robot", "field": "title", "text": "A robot"}]
    assert found["A drone"] == [{"interest": "robot", "field": "meaning", "text": "A drone"}]


def test_the_vectors_of_an_interest_are_made_once_and_go_with_it(django_assert_num_queries):
    reader = make_subscriber(interests=("robot OR poem", '"drone"'))
    encoder, queries = vectors.encoder(), [parse("robot OR poem"), parse('"drone"'), parse("nobody's")]
    assert encoder is not None

    made = vectors_of(encoder, queries)

    assert [len(said) for said in made] == [2, 0, 1]
    assert InterestVector.objects.count() == 2
    with django_assert_num_queries(1):
        kept = vectors_of(encoder, queries[:2])
    assert kept[0] == pytest.approx(made[0], abs=1e-3)
    assert kept[1].shape == made[1].shape == (0, 3)
    unfollow(reader, "robot OR poem")
    assert (InterestVector.objects.count(), delete_orphans()) == (1, 0)


def test_another_encoder_has_vectors_of_its_own(settings):
    make_subscriber(interests=("robot",))
    for kind in ("onnx", "wordllama"):
        settings.ENCODER = kind
        encoder = vectors.encoder()
        assert encoder is not None
        vectors_of(encoder, [parse("robot")])

    assert len(set(InterestVector.objects.values_list("encoder", flat=True))) == 2


def test_what_is_like_a_paper_is_an_interest_too(settings, capsys):
    settings.ENCODER = ""
    text = "Swallows and storks fly south in autumn. We count the birds of passage by radar."
    liked = make_paper(title="Birds of passage", abstract=text)
    make_paper(title="Migrating birds", abstract="We count swallows and storks by radar in autumn.", list_date=DATE)
    make_paper(title="Robots", abstract="They weld.", list_date=DATE)

    call_command("preview", "--interest", f"like:{liked.arxiv_id}", "--date", f"{DATE}", "--json")

    found = {paper["title"]: paper["why"] for paper in json.loads(capsys.readouterr().out)["papers"]}
    assert found["Migrating birds"][0]["field"] == "abstract"
    assert found["Robots"] == []


def make_birds(settings):
    """Return a paper on birds that wordllama has read, and make one that means the same, and one that does not."""
    text = "Swallows and storks fly south in autumn. We count the birds of passage by radar."
    liked = make_paper(title="Birds of passage", abstract=text)
    same = "We sleep. Storks and swallows, which fly to the south, are counted with radar in fall."
    make_paper(title="On migrating birds", abstract=same, list_date=DATE)
    make_paper(title="Robots that weld", abstract="They weld cars by arm in a hall.", list_date=DATE)
    settings.ENCODER = "wordllama"
    return liked


def previewed(capsys, line):
    capsys.readouterr()
    call_command("preview", "--interest", line, "--date", f"{DATE}", "--json")
    return {paper["title"]: paper["why"] for paper in json.loads(capsys.readouterr().out)["papers"]}


def test_what_is_like_a_paper_is_told_by_its_vector_where_it_has_one(settings, capsys):
    liked = make_birds(settings)
    line = f"like:{liked.arxiv_id}"
    (by_words,) = previewed(capsys, line)["On migrating birds"]
    vectors.encode_missing()

    found = previewed(capsys, line)

    assert by_words["field"] == "abstract"
    (why,) = found["On migrating birds"]
    assert (why["interest"], why["field"]) == (line, "meaning")
    assert why["text"] == "Storks and swallows, which fly to the south, are counted with radar in fall."
    assert found["Robots that weld"] == []
    assert previewed(capsys, f"{line} robots") == {"On migrating birds": [], "Robots that weld": []}
    (either,) = previewed(capsys, f"{line} OR robots")["Robots that weld"]
    assert either["field"] == "title"


def test_a_digest_says_that_a_paper_is_close_in_meaning_to_the_one_named(settings):
    liked = make_birds(settings)
    vectors.encode_missing()
    papers = list(Paper.objects.exclude(pk=liked.pk).order_by("pk"))
    matcher, index, query = Matcher([*papers, liked]), build_index([*papers, liked]), parse(f"like:{liked.arxiv_id}")

    found = matcher.match(index, [query])

    scores = dict(zip(index.ids[found.rows].tolist(), found.scores.tolist(), strict=True))
    assert scores.keys() == {liked.pk, papers[0].pk}
    assert scores[liked.pk] == pytest.approx(1, abs=1e-3)  # as by words: a paper is like itself
    assert THRESHOLD <= scores[papers[0].pk] < scores[liked.pk]
    proof = matcher.prove(index.documents[papers[0].pk], query)
    assert proof is not None
    assert proof.field == "meaning"


def test_a_search_for_what_is_like_a_paper_shows_the_nearest_sentence(settings):
    liked = make_birds(settings)
    vectors.encode_missing()

    result = search(f"like:{liked.arxiv_id}", 5)

    fields = {paper.title: proof and proof.field for paper, proof in result.proofs()}
    assert fields == {"Birds of passage": "meaning", "On migrating birds": "meaning"}
