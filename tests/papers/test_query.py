"""What a reader writes is read as they mean it, or answered with the place and a better wording."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.query import LONGEST, LONGEST_CANONICAL, Query, QueryError, parse


def test_words_are_one_topic():
    assert parse("diffusion models") == Query(topics=(("diffusion", "model"),))


def test_quotes_make_a_phrase():
    assert parse('"chain of thought"') == Query(phrases=(("chain", "of", "thought"),))


def test_a_dash_leaves_out_a_word_or_a_phrase():
    assert parse('robot -surgery -"remote  surgery" arms') == Query(
        topics=(("robot", "arm"),), exclusions=(("remote", "surgery"), ("surgery",))
    )


def test_a_phrase_may_stand_beside_a_topic():
    assert parse('diffusion "chain of thought" models') == Query(
        topics=(("diffusion", "model"),), phrases=(("chain", "of", "thought"),)
    )


@pytest.mark.parametrize(
    "text",
    ["Multi-Modal models", "multi modal model", " multi\u2011modal\tMoDeLs ", "multi–modal model"],
)
def test_case_plural_hyphen_and_space_do_not_matter(text):
    assert parse(text).canonical == "multi modal model"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("SAM adaptation", "SAM adaptation"),
        ("sam adaptation", "sam adaptation"),
        ("LLMs", "LLM"),
        ("GRAPH NEURAL NETWORKS", "graph neural network"),
        ("C++ and C#", "c++ and c#"),
        ("“chain of thought” −survey", '"chain of thought" -survey'),
        ("ratio 3:1 of https://example.org/a", "ratio 3 1 of http example org a"),
        ("BERT: a survey", "BERT a survey"),
        ('robot -b -a "z" "y"', 'robot "y" "z" -a -b'),
        ("OR-tools", "or tool"),
        ('"EITHER OR" robot -OR', 'robot "either or" -or'),
        ("robot -multi-modal", 'robot -"multi modal"'),
        ("robot robot & !!! robots", "robot robot robot"),
    ],
)
def test_queries_that_mean_the_same_have_one_canonical_form(text, canonical):
    assert parse(text).canonical == canonical
    assert parse(canonical).canonical == canonical


@given(st.text(st.characters(), max_size=40) | st.text(st.sampled_from('aB "-:SAMs.+éﬁﷺ½‑“'), max_size=40))
def test_the_canonical_form_reads_back_as_the_same_query(text):
    try:
        query = parse(text)
    except QueryError:
        return
    assert parse(query.canonical[:LONGEST]) == query or len(query.canonical) > LONGEST
    assert len(query.canonical) <= LONGEST_CANONICAL


@given(st.text(st.characters()) | st.text(st.sampled_from('ab "-:“”OR ')))
def test_any_text_is_a_query_or_an_error_that_points_into_it(text):
    found = read(text)

    if isinstance(found, QueryError):
        assert 0 <= found.position <= len(text)
        assert found.message == str(found)
        assert found.message.endswith(".")
    else:
        assert found.topics or found.phrases
        assert all(words and all(words) for words in found.topics + found.phrases + found.exclusions)


def read(text: str) -> Query | QueryError:
    try:
        return parse(text)
    except QueryError as error:
        return error


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "There is no word here. Write what interests you"),
        ("  !?  ", 0, "There is no word here. Write what interests you"),
        ("-surgery", 0, "This only leaves things out. Write also what to look for, such as robot -surgery."),
        ('robot "remote surgery', 6, "The quote that opens here is never closed."),
        ('robot -"remote', 6, "The quote that opens here is never closed."),
        ('robot ""', 6, "There is no word here. Write one, or leave the sign out."),
        ("robot -!!", 6, "There is no word here."),
        ("robot - surgery", 6, "Write a dash directly before what you want to leave out"),
        ("robot --surgery", 6, "Write a dash directly before"),
        ("foo:bar", 0, "“foo:” is no field."),
        ('robot foo:"bar baz"', 6, "“foo:” is no field."),
        ("robot -foo:bar", 7, "“foo:” is no field."),
        ("(foo:bar)", 1, "“foo:” is no field."),
        ('author:"Fei-Fei Li"', 0, "“author:” is not understood yet. Write the words without it."),
        ("like:2401.12345", 0, "“like:” is not understood yet."),
        ("robot Title: survey", 6, "“Title:” is not understood yet."),
        ("diffusion (OR) flow", 10, "OR is not understood yet."),
        ("diffusion ＯＲ flow", 10, "OR is not understood yet."),
        ("diffusion OR flow", 10, "OR is not understood yet. Write one line for each of the two."),
        ("a" * 201, 200, "A line has at most 200 characters."),
        (" " + "a" * 201, 201, "A line has at most 200 characters."),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text, position, message):
    with pytest.raises(QueryError) as caught:
        parse(text)

    assert caught.value.position == position
    assert caught.value.message.startswith(message)


def test_two_hundred_characters_are_not_too_many():
    assert parse(f"  {'ab ' * 66}ab  ").topics[0][0] == "ab"


def test_characters_that_unfold_cannot_outgrow_the_column():
    with pytest.raises(QueryError, match="too long once its characters are written out"):
        parse("ﷺ" * 200)


@pytest.mark.parametrize("piece", ['"', "-", "a:", '-"', "a-", "\\", "\u0301", '" "', "“", "OR "])
def test_a_hostile_line_is_refused_in_linear_time(piece):
    with pytest.raises(QueryError):
        parse(piece * 1_000_000)
    for text in (piece * 60, piece * 100):
        try:
            parse(text)
        except QueryError:
            continue
