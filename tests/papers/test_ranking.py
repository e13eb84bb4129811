"""A paper answers, is hidden and is ordered as the product promises, and shows where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.evidence import LONGEST_EVIDENCE, evidence
from papers.index import Document, PaperIndex
from papers.query import QueryError, parse
from papers.ranking import answers, hides, ranked


def paper(title: str = "Untitled", abstract: str = "", *keywords: str, number: int = 1) -> Document:
    return Document(number, title, abstract, keywords)


def does_answer(document: Document, query: str) -> bool:
    return bool(answers(PaperIndex([document]), parse(query)))


def does_hide(document: Document, query: str) -> bool:
    return bool(hides(PaperIndex([document]), parse(query)))


# Answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        paper("Fast Diffusion Models"),
        paper("x", "We like it. A diffusion model is slow."),
        paper("x", "", "diffusion model"),
        paper("x", "Diffusion-model distillation."),
        paper("Models of heat, and of diffusion"),
        paper("x", "Models that learn by diffusion are slow."),
    ],
)
def test_a_topic_answers_as_a_phrase_anywhere_or_by_its_words_in_one_sentence(document):
    assert does_answer(document, "diffusion models")


@pytest.mark.parametrize(
    "document",
    [
        paper("Diffusion", "A model of the world."),
        paper("x", "It is about diffusion. A model helps."),
        paper("x", "", "diffusion", "model"),
        paper("x", "", "model of diffusion"),
        paper("Diffusers modelled"),
    ],
)
def test_words_of_a_topic_in_different_places_are_no_answer(document):
    assert not does_answer(document, "diffusion models")


def test_an_exact_phrase_answers_nowhere_else():
    assert does_answer(paper("Chains-of-Thoughts at work"), '"chain of thought"')
    assert not does_answer(paper("Thought of a chain"), '"chain of thought"')


def test_a_phrase_does_not_run_from_one_sentence_or_keyword_into_the_next():
    assert not does_answer(paper("x", "We use a chain. Of thought we know little."), '"chain of thought"')
    assert not does_answer(paper("x", "", "chain of", "thought"), '"chain of thought"')
    assert not does_answer(paper("Chain of", "thought"), '"chain of thought"')


def test_the_stop_words_of_a_topic_need_not_stand_beside_its_words():
    assert does_answer(paper("Attention: all we need"), "attention is all we need")
    assert not does_answer(paper("Is it all you need?"), "attention is all you need")


def test_an_exclusion_takes_an_answer_away():
    assert does_answer(paper("A robot", "In the factory."), "robot -surgery")
    assert not does_answer(paper("A robot", "In surgery."), "robot -surgery")
    assert not does_answer(paper("A robot", "", "remote surgeries"), 'robot -"remote surgery"')
    assert does_answer(paper("A remote robot", "For surgery."), 'robot -"remote surgery"')


def test_topic_and_phrase_must_both_stand():
    assert does_answer(paper("Chain of thought in robots"), 'robot "chain of thought"')
    assert not does_answer(paper("Robots"), 'robot "chain of thought"')


# Near forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["multi-modal", "multi modal", "multimodal", "Multi‑Modal", "MULTI–MODAL"])
@pytest.mark.parametrize("asked", ["multi-modal", "multi modal", "multimodal", '"multi-modal"', '"multimodal"'])
def test_joined_parted_and_hyphenated_words_meet(written, asked):
    assert does_answer(paper(f"On {written} learning"), asked)
    assert does_answer(paper(f"On {written} learning"), f"{asked} learning")
    assert does_hide(paper(f"On {written} learning"), asked)


def test_short_halves_meet_only_by_a_hyphen():
    assert does_answer(paper("Re-ranking results"), "reranking")
    assert does_answer(paper("Reranking results"), "re-ranking")
    assert not does_answer(paper("A synchronous clock"), "asynchronous")
    assert not does_answer(paper("Known for all words"), "forall")


def test_joined_words_count_among_the_words_of_a_sentence():
    assert does_answer(paper("Multimodal models and their reasoning"), "multi-modal reasoning")


@pytest.mark.parametrize(("asked", "written"), [("models", "model"), ("bias", "biases"), ("index", "indices")])
def test_plurals_meet(asked, written):
    assert does_answer(paper(f"One {written} more"), asked)
    assert does_answer(paper(f"One {asked} more"), written)


def test_a_short_acronym_in_capitals_matches_only_itself():
    assert does_answer(paper("Tuning SAM"), "SAM")
    assert does_answer(paper("Tuning SAMs"), "SAM")
    assert does_answer(paper("SAM-based tuning"), "SAM")
    assert not does_answer(paper("Sam and the others"), "SAM")
    assert not does_answer(paper("To rag and bone"), "RAG")
    assert does_answer(paper("Tuning SAM"), "sam")


def test_signs_are_part_of_names():
    assert does_answer(paper("Fast C++ kernels"), "C++")
    assert not does_answer(paper("Vitamin C kernels"), "C++")
    assert does_answer(paper("x", "We tune Qwen2.5 and GPT-4o."), "GPT-4o")


# Mutes ---------------------------------------------------------------------------------------------


def test_a_mute_hides_by_phrase_never_by_single_words():
    assert does_hide(paper("x", "A federated-learning survey."), "federated learning")
    assert not does_hide(paper("Learning in a federated world"), "federated learning")
    assert does_answer(paper("Learning in a federated world"), "federated learning")


def test_a_mutes_own_exclusion_spares():
    assert does_hide(paper("A survey of robots"), "survey -robot") is False
    assert does_hide(paper("A survey of birds"), "survey -robot")


def test_a_mute_hides_where_all_of_it_stands():
    assert does_hide(paper("A survey of chain of thought"), 'survey "chain of thought"')
    assert not does_hide(paper("A survey"), 'survey "chain of thought"')


# Alternatives and fields --------------------------------------------------------------------------


LISTED = Document(1, "A Survey of Arms", "Robots.", (), ("Fei-Fei Li", "Bo Jones"), "Google DeepMind", ("cs.RO",))


@pytest.mark.parametrize(
    "query",
    ["drones OR robots", 'author:"fei-fei li"', "author:li", 'author:"Li, Fei-Fei"', "org:deepmind", "cat:cs.ro",
     "cat:cs.*", "cat:cs", "title:surveys", 'title:"survey of arms"', "robots author:jones", "survey -cat:math"],
)  # fmt: skip
def test_a_paper_answers_an_alternative_by_all_its_fields(query):
    assert does_answer(LISTED, query)
    assert evidence(LISTED, parse(query))


@pytest.mark.parametrize(
    "query",
    ["drones OR planes", "author:li-fei", "author:jone", "author:L", "org:meta", "cat:math.*", "cat:cs.AI", "cat:c",
     "title:robots", "robots author:smith", "robots OR arms -cat:cs.*", "survey -author:li", "arms -title:survey"],
)  # fmt: skip
def test_a_paper_that_lacks_a_field_or_has_an_excluded_one_is_no_answer(query):
    assert not does_answer(LISTED, query)
    assert evidence(LISTED, parse(query)) is None


def test_a_mute_hides_by_field_and_by_any_alternative():
    assert does_hide(LISTED, "org:deepmind")
    assert does_hide(LISTED, "drones OR robots")
    assert not does_hide(LISTED, "arms author:smith")


# Acronyms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("large language models", "Agents of LLMs win.", ["LLMs"]),
        ("LLM agents", "A large language model agent wins.", ["large language model agent"]),
        ("LLM agents", "Agents use large-language models.", ["Agents", "large-language models"]),
        ("LoRA", "Low-rank adaptation is cheap.", ["Low-rank adaptation"]),
        ("low-rank adaptation", "LORA and LoRAs are cheap.", ["LORA", "LoRAs"]),
        ("multimodal LLM", "MLLMs see.", ["MLLMs"]),
        ("MLLM", "Multi-modal LLMs see.", ["Multi-modal LLMs"]),
        ("CLIP", "Contrastive language-image pretraining.", ["Contrastive language-image pretraining"]),
    ],
)
def test_a_topic_answers_by_acronym_and_by_expansion_and_the_evidence_marks_it(query, text, marked):
    document = paper("x", text)

    assert does_answer(document, query)
    assert marks(document, query) == marked


def marks(document: Document, query: str) -> list[str]:
    proof = evidence(document, parse(query))
    assert proof
    return [proof.text[start:end] for start, end in proof.marks]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ('"large language model"', "Agents of LLMs win."),
        ("lora", "Low-rank adaptation is cheap."),
        ("CoT", "A cot is for children."),
        ("SSL", "Self-supervised learning."),
    ],
)
def test_an_exact_phrase_a_word_and_an_acronym_with_two_senses_stay_as_they_are(query, text):
    assert not does_answer(paper("x", text), query)


def test_an_exclusion_leaves_out_what_an_acronym_stands_for():
    assert not does_answer(paper("Robots", "Reinforcement learning."), "robots -RL")
    assert not does_answer(paper("Robots", "RL."), 'robots -"reinforcement learning"')


# Order ---------------------------------------------------------------------------------------------

DAY = [
    paper("Protein folding", "Nothing else.", number=1),
    paper("Graph learning", "Graph learning on graphs.", number=2),
    paper("Heat", "We mention graph learning once, among many other things that fill this sentence.", number=3),
    paper("Learning to draw", "A graph is shown.", number=4),
    paper("Birds", "They sing.", number=5),
]


def test_answers_have_scores_above_zero_up_to_one_best_first():
    scores = answers(PaperIndex(DAY), parse("graph learning"))

    assert set(scores) == {2, 3}
    assert 0 < scores[3] < scores[2] <= 1


def test_ranking_puts_the_rest_behind_the_answers():
    found = ranked(PaperIndex(DAY), parse("graph learning"))

    assert [paper_id for paper_id, _ in found] == [2, 3, 4]
    assert [score > 0.5 for _, score in found] == [True, True, False]


def test_an_exclusion_and_a_phrase_bind_the_rest_too():
    assert [paper_id for paper_id, _ in ranked(PaperIndex(DAY), parse("graph learning -draw"))] == [2, 3]
    assert ranked(PaperIndex(DAY), parse('"learning graph"')) == []


def test_equal_papers_come_in_the_order_of_their_ids():
    twins = [paper("Graph", number=n) for n in (3, 1, 2)]

    assert [paper_id for paper_id, _ in ranked(PaperIndex(twins), parse("graph"))] == [1, 2, 3]


def test_the_order_of_the_documents_changes_nothing():
    query = parse("learning graph shown")

    assert ranked(PaperIndex(DAY), query) == ranked(PaperIndex(reversed(DAY)), query)


def test_no_papers_answer_nothing():
    assert answers(PaperIndex([]), parse("robot")) == {}
    assert ranked(PaperIndex([]), parse("robot")) == []
    assert hides(PaperIndex([]), parse("robot")) == set()


# Evidence ------------------------------------------------------------------------------------------


def shown(document: Document, query: str) -> tuple[str, str, list[str]]:
    found = evidence(document, parse(query))
    assert found is not None
    return found.field, found.text, [found.text[start:end] for start, end in found.marks]


def test_evidence_is_the_title_before_a_sentence_before_a_keyword():
    everywhere = paper("On robots", "A robot. Robots again.", "robot")

    assert shown(everywhere, "robot") == ("title", "On robots", ["robots"])
    assert shown(paper("x", "None here. A robot and robots.", "robot"), "robot") == (
        "abstract",
        "A robot and robots.",
        ["robot", "robots"],
    )
    assert shown(paper("x", "None.", "birds", "robot arms"), "robot") == ("keywords", "robot arms", ["robot"])


def test_the_phrase_is_better_evidence_than_its_words():
    document = paper("Models and diffusion", "We study diffusion models.")

    assert shown(document, "diffusion model") == ("abstract", "We study diffusion models.", ["diffusion models"])


def test_the_words_of_a_topic_are_marked_one_by_one():
    document = paper("Untitled", "First. Models learn by diffusion.")

    assert shown(document, "diffusion models") == ("abstract", "Models learn by diffusion.", ["Models", "diffusion"])


def test_marks_fit_the_original_whatever_was_folded():
    assert shown(paper("Über ﬁne‑tuned Multi-Modal LLMs"), "multimodal LLM") == (
        "title",
        "Über ﬁne‑tuned Multi-Modal LLMs",
        ["Multi-Modal LLMs"],
    )


def test_evidence_holds_as_much_of_the_query_as_one_place_can():
    document = paper("Robots", "We use chain of thought. Robots get chain of thought.")

    assert shown(document, 'robot "chain of thought"')[1] == "Robots get chain of thought."


def test_a_paper_that_does_not_answer_has_no_evidence():
    assert evidence(paper("Birds"), parse("robot")) is None
    assert evidence(paper("A robot", "In surgery."), parse("robot -surgery")) is None


@pytest.mark.parametrize("around", ["word " * 500, "w" * 3000, ""])
def test_an_endless_sentence_is_cut_around_the_first_mark(around):
    document = paper("x", f"{around} chain of thought {around} thought {around}")
    field, text, marks = shown(document, '"chain of thought"')

    assert (field, marks[0]) == ("abstract", "chain of thought")
    assert len(text) <= LONGEST_EVIDENCE + 2


WORDS = [
    "graph",
    "graphs",
    "learning",
    "multi-modal",
    "multimodal",
    "SAM",
    "sam",
    "the",
    "of",
    "data",
    "set",
    "dataset",
]
words = st.lists(st.sampled_from(WORDS))


@given(words, words, words, words)
def test_evidence_is_there_exactly_when_a_paper_answers(title, abstract, keywords, asked):
    document = paper(" ".join(title) or "x", ". X".join(abstract), *keywords)
    try:
        query = parse(" ".join(asked))
    except QueryError:
        return
    index = PaperIndex([document])
    scores, found = answers(index, query), evidence(document, query)

    assert (found is not None) == (document.id in scores)
    assert hides(index, query) <= set(scores)
    assert set(scores) <= {paper_id for paper_id, _ in ranked(index, query)}
    assert all(0 < score <= 1 for score in scores.values())
    if found:
        assert found.marks
        assert all(0 <= start < end <= len(found.text) for start, end in found.marks)
        assert list(found.marks) == sorted(found.marks)
