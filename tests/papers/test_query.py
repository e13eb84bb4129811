"""What a reader writes is read as they mean it, or answered with the place and a better wording."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.pieces import pieces
from papers.query import (
    LONGEST_CANONICAL,
    Alternative,
    Field,
    Query,
    QueryError,
    Words,
    parse,
    parse_canonical,
    parse_mute,
)


def one(*exclusions, **parts) -> Query:
    return Query((Alternative(**parts),), exclusions)


def test_words_are_one_topic():
    assert parse("diffusion models") == one(topics=(("diffusion", "model"),))


def test_quotes_make_a_phrase():
    assert parse('"chain of thought"') == one(phrases=(("chain", "of", "thought"),))


def test_a_dash_leaves_out_a_word_or_a_phrase():
    assert parse('robot -surgery -"remote  surgery" arms') == one(
        ("remote", "surgery"), ("surgery",), topics=(("robot", "arm"),)
    )


def test_a_phrase_may_stand_beside_a_topic():
    assert parse('diffusion "chain of thought" models') == one(
        topics=(("diffusion", "model"),), phrases=(("chain", "of", "thought"),)
    )


def test_or_parts_the_whole_line_and_what_is_left_out_holds_for_all_of_it():
    assert parse("robot arms OR drones -survey") == parse("robot arms -survey OR drones")
    assert parse("robot arms OR drones -survey") == Query(
        (Alternative(topics=(("drone",),)), Alternative(topics=(("robot", "arm"),))), (("survey",),)
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('author:"Fei-Fei Li"', Field("author", ("fei", "fei", "li"))),
        ('author:"Li, Fei-Fei"', Field("author", ("fei", "fei", "li"))),
        ("Author:Jones", Field("author", ("jones",))),
        ("org:DeepMind", Field("org", ("deepmind",))),
        ("cat:cs.CL", Field("cat", ("cs.cl",))),
        ("cat:cs.*", Field("cat", ("cs.*",))),
        ("cat:CS", Field("cat", ("cs.*",))),
        ("cat:cond-mat.mtrl-sci", Field("cat", ("cond-mat.mtrl-sci",))),
        ("title:Surveys", Field("title", ("survey",))),
        ('title:"two words"', Field("title", ("two", "word"))),
    ],
)
def test_a_field_is_a_name_and_what_must_stand_in_it(text, field):
    assert parse(text) == one(fields=(field,))
    assert parse(f"robot -{text}") == one(field, topics=(("robot",),))


@pytest.mark.parametrize(
    ("text", "arxiv_id"),
    [
        ("like:2401.12345", "2401.12345"),
        ("like:arXiv:2401.12345v2", "2401.12345"),
        ("like:cs/0112017", "cs/0112017"),
        ("like:math.GT/0309136", "math.GT/0309136"),
    ],
)
def test_like_names_a_paper(text, arxiv_id):
    assert parse(text) == one(like=(arxiv_id,))


def test_fields_stand_beside_words_in_their_alternative():
    assert parse("robot cat:cs.RO OR title:survey") == Query(
        (
            Alternative(topics=(("robot",),), fields=(Field("cat", ("cs.ro",)),)),
            Alternative(fields=(Field("title", ("survey",)),)),
        )
    )


@pytest.mark.parametrize(
    "text",
    ["Multi-Modal models", "multi modal model", " multi\u2011modal\tMoDeLs ", "multi–modal model"],
)
def test_case_plural_hyphen_and_space_do_not_matter(text):
    assert parse(text).canonical == "multi modal model"


@pytest.mark.parametrize(
    ("one_way", "another"),
    [
        ("GPT-4o agents", "gpt 4O agent"),
        ("SAM 2", "sam-2"),
        ('robots OR "chain of thought" x', "x “Chain-of-Thoughts” OR robot OR Robots"),
        ("cat:CS.cl robot", "robot Cat:cs.CL cat:cs.CL"),
        ('author:"Fei-Fei Li"', "AUTHOR:«li, fei fei»"),
        ("org:Meta title:surveys -a -b", "−B title:Survey ORG:meta −A"),
        ("like:2401.12345v3", "like:arXiv:2401.12345"),
        ("LLMs", "LLM"),
        ("Schrödinger bridges", r"Schr\"odinger bridge"),
    ],
)
def test_two_ways_of_writing_the_same_are_one_interest(one_way, another):
    assert parse(one_way) == parse(another)


@pytest.mark.parametrize(
    ("one_interest", "another"),
    [("SAM", "sam"), ("a b", "b a"), ('"a b"', "a b"), ("a OR b", "a or b"), ("a -b", "a b"), ("title:a", "a")],
)
def test_what_means_something_else_is_another_interest(one_interest, another):
    assert parse(one_interest).canonical != parse(another).canonical


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
        ("robots AND drones", "robot and drone"),
        ("ATTENTION IS NOT ALL", "attention is not all"),
        ("robots — drones", "robot drone"),
        ("(deep) robots (RL)", "deep robot RL"),
        (r"Schr\"odinger equation", "schrodinger equation"),
        (r'"Schr\"{o}dinger bridge" -na\"ive', '"schrodinger bridge" -naive'),
        (r"$\mathcal{O}(n^2)$ attention", "o n2 attention"),
        ("GPT-4o, C++17 and Llama 3.1", "gpt 4o c++ 17 and llama 3.1"),
        ("LoRAs and lora", "LoRA and lora"),
        ("ﬁne‑tuning", "fine tuning"),
        ("\u202ecat:cs.CL dif\u00adfusion", "diffusion cat:cs.cl"),
        ('ａｕｔｈｏｒ:"Bjørn Łukasz"', 'author:"bjorn lukasz"'),
        ("author:jones arms", "arm author:jones"),
        ("author:Jones CLIP", "CLIP author:jones"),
        ("author:Jones OR Arms", "arm OR author:jones"),
        ("\U0001f916 robots", "robot"),
        ("למידה عميق", "למידה عميق"),
        ("扩散模型", "扩散模型"),
        (r"^(foo|bar).*$", "foo bar"),
        ("' UNION SELECT * FROM users", "union select from user"),
        ('robot -b -a "z" "y"', 'robot "y" "z" -a -b'),
        ("OR-tools", "or tool"),
        ('"EITHER OR" robot -OR', 'robot "either or" -or'),
        ("robot -multi-modal", 'robot -"multi modal"'),
        ("robot robot & !!! robots", "robot robot robot"),
        ("b OR a or b OR b", "a or b OR b"),
        ('"z" a "b" OR c -e -d', 'a "b" "z" OR c -d -e'),
        ('org:Meta cat:CS.cl x title:"A  Survey"', 'x cat:cs.cl org:meta title:"a survey"'),
        ("diffusion (OR) flow", "diffusion OR flow"),
        ("diffusion ＯＲ flow", "diffusion OR flow"),
        ("like:2401.12345v3 -cat:math", "like:2401.12345 -cat:math.*"),
    ],
)
def test_queries_that_mean_the_same_have_one_canonical_form(text, canonical):
    assert parse(text).canonical == canonical
    assert parse_canonical(canonical) == parse(text)


PARTS = 'aB "-:SAMs.+éﬁﷺ½‑“'
FIELDS = ["OR", " OR ", "author:", "cat:cs.CL ", "cat:", "org:", "title:", "like:cs/0112017", ",", '"', "-", " "]


CAREFUL = [
    *("language", "models", "a", "is", "foci", "LLM", "LLMs", "SAM", "LoRA", "kNN", "GPT", "4o", "x", "X", "-x", "é"),
    *("OR", "ORs", "AND", "NOT", "SHOUTED", "SHOUTs"),
]


@given(st.lists(st.sampled_from(CAREFUL), min_size=1, max_size=6))
def test_plain_words_are_read_as_canonical_as_they_are_in_any_line(words):
    try:
        query = parse(" ".join(words))
    except QueryError:
        with pytest.raises(QueryError):
            parse_canonical(" ".join(words))
    else:
        assert parse_canonical(" ".join(words)) == query


@given(st.text(st.characters(), max_size=40) | st.lists(st.sampled_from([*PARTS, *FIELDS]), max_size=40).map("".join))
def test_the_canonical_form_reads_back_as_the_same_query(text):
    try:
        query = parse(text)
    except QueryError:
        return
    assert parse_canonical(query.canonical) == query
    assert len(query.canonical) <= LONGEST_CANONICAL


@given(st.text(st.characters()) | st.lists(st.sampled_from([*'ab "-:“”OR ', *FIELDS]), max_size=40).map("".join))
def test_any_text_is_a_query_or_an_error_that_points_into_it(text):
    found = read(text)

    if isinstance(found, QueryError):
        assert 0 <= found.position <= len(text)
        assert found.message == str(found)
        assert found.message.endswith(".")
    else:
        assert all(side != Alternative() for side in found.alternatives)
        assert all(words and all(words) for words in words_in(found))


def words_in(query: Query) -> list[Words]:
    fields = [field for side in query.alternatives for field in side.fields]
    words = [words for side in query.alternatives for words in (*side.topics, *side.phrases)]
    left_out = [part.words if isinstance(part, Field) else part for part in query.exclusions]
    return words + left_out + [field.words for field in fields]


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
        ("foo:bar", 0, "“foo:” is no field; there are"),
        ('robot foo:"bar baz"', 6, "“foo:” is no field; there are"),
        ("robot -foo:bar", 7, "“foo:” is no field; there are"),
        ("(foo:bar)", 1, "“foo:” is no field; there are"),
        ("robot Title: survey", 6, "Write what to look for directly after “title:”, such as title:survey."),
        ('author:""', 0, "Write what to look for directly after “author:”"),
        ("robot -org:", 7, "Write what to look for directly after “org:”"),
        ("(author:li)", 1, 'Write it as in author:"Fei-Fei Li", with nothing but a space or a dash before it.'),
        ("cat:cs.CL.x", 0, "“cs.CL.x” is no arXiv category. Write one such as cat:cs.CL"),
        ("robot like:nonsense", 6, "“nonsense” is no arXiv number."),
        ("robot -like:2401.12345", 6, "Only words and the other fields can be left out"),
        ("OR flow", 0, "Write what to look for on both sides of OR"),
        ("flow OR", 5, "Write what to look for on both sides of OR"),
        ("flow OR OR arm", 8, "Write what to look for on both sides of OR"),
        ("flow OR -arm", 5, "Write what to look for on both sides of OR"),
        ("robot author：li", 6, "Write it as in author:"),
        ("author:Yann LeCun", 0, 'Put a name of several words in quotes: author:"Yann LeCun".'),
        ("jepa -org:Google DeepMind", 6, 'Put a name of several words in quotes: org:"Google DeepMind".'),
        ("(robots OR drones) arms", 0, "Brackets bind nothing here. Write each side of OR in full"),
        ("arms (robots OR drones)", 5, "Brackets bind nothing here. Write each side of OR in full"),
        ("robots -(arms legs)", 7, "Brackets bind nothing here. Write a dash before each"),
        ("robots NOT surgery", 7, "NOT is no sign here. Write a dash"),
        ("robots —surgery", 7, "Write a short dash to leave something out, such as -survey"),
        ("like:cs.CL", 0, "“cs.CL” is no arXiv number. Write one such as like:2401.12345."),
        ("like:0112017", 0, "“0112017” is no arXiv number."),
        ("DROP TABLE users; --", 18, "Write a dash directly before what you want to leave out"),
        ("🤖 \u202e", 0, "There is no word here. Write what interests you"),
        ("\u202erobot foo:bar", 7, "“foo:” is no field"),
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
    assert parse(f"  {'ab ' * 66}ab  ").alternatives[0].topics[0][0] == "ab"


def test_characters_that_unfold_cannot_outgrow_the_column():
    with pytest.raises(QueryError, match="too long once its characters are written out"):
        parse("ﷺ" * 200)


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        '"',
        "-",
        "a:",
        "author:",
        "cat:",
        '\\"',
        '\\"a',
        "\u202e",
        "OR a ",
        "author:A ",
        "—",
        "$",
        '-"',
        "a-",
        "\\",
        "\u0301",
        '" "',
        "“",
        "OR ",
    ],
)
def test_a_hostile_line_is_refused_in_linear_time(piece):
    with pytest.raises(QueryError):
        parse(piece * 1_000_000)
    for text in (piece * 60, piece * 100):
        try:
            parse(text)
        except QueryError:
            continue


@pytest.mark.parametrize("piece", ["(", "-", "author:", '\\"a', "OR a ", "$a", "\\a{", "1.", "\u202e", '"a" -b '])
def test_reading_takes_linear_time_also_without_the_limit(piece):
    """A square of this length would take minutes."""
    with contextlib.suppress(QueryError):
        pieces("x " + piece * 10_000, longest=10_000_000)


def test_a_line_of_ten_thousand_characters_is_refused_at_its_end():
    with pytest.raises(QueryError) as caught:
        parse("robot " * 1_667)

    assert (caught.value.position, caught.value.message[:35]) == (200, "A line has at most 200 characters. ")


def test_nothing_is_hidden_by_likeness():
    with pytest.raises(QueryError, match="because it is like a paper") as caught:
        parse_mute("arms OR Like:2401.12345")

    assert caught.value.position == 8
    with pytest.raises(QueryError) as caught:
        parse_mute('"dislike: why" like:2401.12345')
    assert caught.value.position == 15
    assert parse_mute("arms -cat:cs") == parse("arms -cat:cs")


@pytest.mark.parametrize(
    ("text", "caret"),
    [
        ("robot foo:bar", "  robot foo:bar\n        ^"),
        ("模型 foo:bar", "  模型 foo:bar\n       ^"),
        ("e\u0301\u202e\tfoo:bar", "  e  foo:bar\n     ^"),
        ("a" * 100 + " foo:bar", "  " + "a" * 59 + " foo:bar\n  " + " " * 60 + "^"),
    ],
)
def test_a_caret_stands_under_the_place(text, caret):
    with pytest.raises(QueryError) as caught:
        parse(text)

    assert caught.value.pointer(text) == caret
