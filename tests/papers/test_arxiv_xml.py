"""arXiv's formats, as recorded: read, or refused with a reason that a person understands."""

import datetime as dt
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papers.records import Page, PaperRecord
from papers.sources.arxiv_fields import is_withdrawn
from papers.sources.arxiv_xml import parse
from papers.sources.client import SourceError

ITEM = """<item>
  <title>A title with $\\alpha$ and <![CDATA[<think>]]></title>
  <link>https://arxiv.org/abs/2608.20055</link>
  <description>arXiv:2608.20055v1 Announce Type: {kind} \nAbstract: The abstract of Schr\\"odinger.</description>
  <guid isPermaLink="false">oai:arXiv.org:2608.20055v1</guid>
  <category>cs.CR</category><category>cs.AI</category>
  <pubDate>Fri, 21 Aug 2026 00:00:00 -0400</pubDate>
  <arxiv:announce_type>{kind}</arxiv:announce_type>
  <dc:creator>Ada Example, Ben Example and Cy Example</dc:creator>
</item>"""
ENTRY = """<entry>
  <id>http://arxiv.org/abs/cond-mat/0703772v3</id>
  <title>A title</title><summary>An abstract.</summary>
  <published>2026-08-20T17:59:00Z</published><updated>2026-08-21T18:00:00Z</updated>
  <category term="cs.LG"/><category term="cs.CL"/><category term="62H30"/>
  <arxiv:primary_category term="cs.CL"/><arxiv:comment>12 pages</arxiv:comment>
  <author><name>Ada Example</name></author><author><name>Ben Example</name></author>
</entry>"""
RAW = """<record><header><identifier>oai:arXiv.org:2608.20055</identifier></header><metadata>
  <arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/"><id>2608.20055</id>
    <version version="v2"><date>Fri, 21 Aug 2026 09:00:00 GMT</date></version>
    <version version="v1"><date>Thu, 20 Aug 2026 09:00:00 GMT</date></version>
    <title>A title</title><authors>Ada Example (MIT), B. Example, Jr., and Cy Example</authors>
    <categories>cs.CL stat.ML</categories><comments>{comment}</comments><abstract>An abstract.</abstract>
  </arXivRaw></metadata></record>"""


def rss(*items: str) -> bytes:
    spaces = 'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return f'<?xml version="1.0"?><rss {spaces}><channel>{"".join(items)}</channel></rss>'.encode()


def atom(*entries: str) -> bytes:
    spaces = 'xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom"'
    return f"<feed {spaces}>{''.join(entries)}</feed>".encode()


def oai(*records: str) -> bytes:
    return f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{"".join(records)}</OAI-PMH>'.encode()


def only(page: bytes) -> PaperRecord:
    found = parse(page)
    assert not found.rejects
    (record,) = found.records
    return record


# What is read --------------------------------------------------------------------------------------


def test_an_item_of_the_feed():
    assert only(rss(ITEM.format(kind="new"))) == PaperRecord(
        arxiv_id="2608.20055",
        title="A title with α and <think>",
        abstract="The abstract of Schrödinger.",
        authors=("Ada Example", "Ben Example", "Cy Example"),
        categories=("cs.CR", "cs.AI"),
        version=1,
        list_date=dt.date(2026, 8, 21),
    )


@pytest.mark.parametrize(
    ("kind", "is_listed"),
    [("new", True), ("cross", True), ("replace", False), ("replace-cross", False), ("odd", False)],
)
def test_only_new_and_crossed_papers_are_listed(kind, is_listed):
    assert only(rss(ITEM.format(kind=kind))).is_listed is is_listed


def test_the_operator_may_leave_out_crossed_papers(settings):
    settings.ARXIV_ANNOUNCED = ["new"]

    assert [only(rss(ITEM.format(kind=kind))).is_listed for kind in ("new", "cross")] == [True, False]


def test_an_entry_of_the_search_has_the_list_date_of_the_announcement_after_its_submission():
    assert only(atom(ENTRY)) == PaperRecord(
        arxiv_id="cond-mat/0703772",
        title="A title",
        abstract="An abstract.",
        authors=("Ada Example", "Ben Example"),
        categories=("cs.CL", "cs.LG"),
        submitted_on=dt.date(2026, 8, 20),
        updated_on=dt.date(2026, 8, 21),
        version=3,
        comment="12 pages",
        is_withdrawn=False,
        list_date=dt.date(2026, 8, 21),  # a minute before the cut-off of 14:00 Eastern
    )
    late = ENTRY.replace("17:59:00Z", "18:00:00Z")
    assert only(atom(late)).list_date == dt.date(2026, 8, 24)


def test_a_record_of_oai_is_news_of_the_newest_version():
    assert only(oai(RAW.format(comment="12 pages"))) == PaperRecord(
        arxiv_id="2608.20055",
        title="A title",
        abstract="An abstract.",
        authors=("Ada Example", "B. Example, Jr.", "Cy Example"),
        categories=("cs.CL", "stat.ML"),
        submitted_on=dt.date(2026, 8, 20),
        updated_on=dt.date(2026, 8, 21),
        version=2,
        comment="12 pages",
        is_withdrawn=False,
        is_listed=False,
    )


def test_a_comment_withdraws_a_paper():
    assert only(oai(RAW.format(comment="This paper has been withdrawn by the author"))).is_withdrawn


@pytest.mark.parametrize(
    ("version", "comment", "abstract", "withdrawn"),
    [
        (2, "Withdrawn", "", True),
        (2, "This paper has been withdrawn by the author due to a crucial error in Lemma 3", "", True),
        (None, "", "This paper has been withdrawn since the results are not satisfied.", True),
        (3, "", "This paper and abstract have been withdrawn.", True),
        (2, "Withdrawn from arXiv", "", True),
        (2, "Withdrawn from ICLR 2026, accepted at ICML", "", False),
        (2, "12 pages", "We study how drugs that were withdrawn from the market are found.", False),
        (2, "12 pages", "Subsidies and withdrawal rights, and withdrawn funds.", False),
        (1, "Withdrawn", "", False),  # a withdrawal is a new version
    ],
)
def test_what_a_withdrawal_is_known_by(version, comment, abstract, withdrawn):
    assert is_withdrawn(version, comment, abstract) is withdrawn


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Zhaoxin Xu, Heping Ying, and Xin Wan", ["Zhaoxin Xu", "Heping Ying", "Xin Wan"]),
        ("A. One (MIT (Boston)), B. Two III and C. Three", ["A. One", "B. Two III", "C. Three"]),
        ("A. One; B. Two et al.", ["A. One", "B. Two"]),
        ("LHCb Collaboration: R. Aaij, B. Adeva", ["LHCb Collaboration", "R. Aaij", "B. Adeva"]),
        (" NVIDIA,  :, K. J{\\o}rgensen", ["NVIDIA", "K. Jørgensen"]),
        ("", []),
    ],
)  # fmt: skip
def test_authors_in_one_string(written, names):
    item = ITEM.format(kind="new").replace("Ada Example, Ben Example and Cy Example", written)

    assert list(only(rss(item)).authors) == names


@pytest.mark.parametrize(
    ("place", "arxiv_id", "version"),
    [
        ("oai:arXiv.org:2608.20055v12", "2608.20055", 12),
        ("https://arxiv.org/abs/cs/0112017v3", "cs/0112017", 3),
        ("math.GT/0309136", "math.GT/0309136", None),
    ],
)
def test_ids_of_both_styles_with_and_without_a_version(place, arxiv_id, version):
    record = only(rss(ITEM.format(kind="new").replace("oai:arXiv.org:2608.20055v1", place)))

    assert (record.arxiv_id, record.version) == (arxiv_id, version)


# What is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"", "an empty answer"),
        (b"  \n", "an empty answer"),
        (b"<!doctype html><title>Maintenance</title>", "an HTML page"),
        (b"<html><body>", "an HTML page"),
        (b"[]", "broken or cut off"),
        (b"<rss><channel>", "broken or cut off"),
        (b"<rss/>", "a feed without a channel"),
        (b"<svg/>", "neither a feed nor OAI-PMH: <svg>"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss>&b;</rss>', "a document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><rss/>', "a document type"),
    ],
)
def test_what_is_no_page_of_arxivs(page, message):
    with pytest.raises(SourceError, match=message):
        parse(page)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("oai:arXiv.org:2608.20055v1", "oai:arXiv.org:nonsense", "nonsense' is no arXiv id"),
        ("A title with", "x" * 2000, "the title has 20"),
        ("Fri, 21 Aug 2026 00:00:00 -0400", "yesterday", "its date is none: yesterday"),
    ],
)
def test_a_bad_item_costs_itself_alone(old, new, reason):
    page = parse(rss(ITEM.format(kind="new").replace(old, new), ITEM.format(kind="new")))

    assert len(page.records) == 1
    assert reason in page.rejects[0].reason


@pytest.mark.parametrize("stamp", ["yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z"])
def test_a_date_that_is_none_costs_its_entry(stamp):
    page = parse(atom(ENTRY.replace("2026-08-20T17:59:00Z", stamp)))

    assert [reject.reason for reject in page.rejects] == [f"its date is none: {stamp}"]


def test_one_bad_character_does_not_cost_the_page():
    page = rss(ITEM.format(kind="new")).replace(
        b"The abstract", b"The \x00\x0b&#0;&#xD800;&#65;\xff abstract\xe2\x80\xae"
    )

    assert only(page).abstract == "The A\N{REPLACEMENT CHARACTER} abstract of Schrödinger."


def test_an_error_inside_an_answer_is_an_error():
    error = "<entry><id>https://arxiv.org/api/errors#x</id><title>Error</title><summary>bad id</summary></entry>"

    with pytest.raises(SourceError, match="arXiv refused the request: bad id"):
        parse(atom(error))


def test_a_deleted_record_is_counted():
    page = parse(oai('<record><header status="deleted"><identifier>oai:arXiv.org:1</identifier></header></record>'))

    assert page.rejects[0].reason == "it was deleted"


# Every recorded file -------------------------------------------------------------------------------

READ = {  # file: records, of which listed, of which withdrawn
    "atom/arxivpy_id_0000.0000_s0_m100_8b51d9633a68.http200.xml": (0, 0, 0),
    "atom/arxivpy_id_0808.05394_1707.08567_s0_m100_42e5aa0ec3af.http200.xml": (1, 1, 0),
    "atom/arxivpy_id_1707.08567_s0_m100_6a1afebfc6a3.http200.xml": (1, 1, 0),
    "atom/arxivpy_id_2104.12255v1_s0_m100_6ae69987ffe1.http200.xml": (1, 1, 0),
    "atom/arxivpy_id_astro-ph_0601001_s0_m100_3150dca9dc76.http200.xml": (1, 1, 0),
    "atom/arxivpy_id_quant-ph_0201082v1_s0_m100_86989fe779ef.http200.xml": (1, 1, 0),
    "atom/arxivpy_q_testing_s0_m100_cfe7536492ca.http200.xml": (100, 100, 0),
    "atom/arxivpy_q_testing_s0_m10_bc5a6c384fe9.http200.xml": (10, 10, 0),
    "atom/arxivpy_q_testing_s50_m10_7f488ab8598c.http200.xml": (10, 10, 0),
    "atom/llm-paper-radar_2026-05-11.xml": (2, 2, 0),
    "atom/swiss_2026-08-07.xml": (2, 2, 0),
    "oai/arXiv_format_12_records.xml": (12, 0, 0),
    "oai/error_noRecordsMatch.xml": (0, 0, 0),
    "oai/hepcrawl_hep-ex.xml": (3, 0, 0),
    "oai/listrecords_arXivRaw.xml": (35, 0, 7),
    "oai/listrecords_arXivRaw_last_page_empty_token.xml": (3, 0, 3),
    "rss/atom_cs_2026-08-21_30_odd.xml": (30, 16, 0),
    "rss/atom_weekend_empty.xml": (0, 0, 0),
    "rss/rss2_cs_2026-08-21_30_odd.xml": (30, 16, 0),
    "rss/rss2_weekend_empty.xml": (0, 0, 0),
}
REFUSED = {
    "atom/arxivpy_id_abc_s0_m100_b79c8dcf6bc3.http400.xml": "arXiv refused the request: incorrect id format for abc",
    "atom/handmade_truncated.xml": "XML that is broken or cut off",
    "oai/error_badArgument.xml": "from date format must be YYYY-MM-DD",
    "oai/error_badResumptionToken.xml": "resumptionToken argument is invalid or expired",
    "oai/error_idDoesNotExist.xml": "unknown or illegal in this repository",
    "rss/atom_error_http400.xml": "arXiv refused the feed: Bad archive 'cs-AI'",
    "rss/rss2_error_http400.xml": "arXiv refused the feed: Bad archive 'cs-AI'",
}
ALL_REJECTED = {
    "oai/ads_multi_2023-01-25_resumption.xml": "its format is oai_dc, which tells no versions: ask for arXivRaw"
}


@pytest.mark.data
def test_every_recorded_file_is_spoken_of_here(data):
    files = {str(path.relative_to(data / "arxiv")) for path in (data / "arxiv").glob("*/*.xml")}

    assert files == READ.keys() | REFUSED.keys() | ALL_REJECTED.keys()


@pytest.mark.data
@pytest.mark.parametrize("name", READ)
def test_a_recorded_file_is_read(data, name):
    page = parse((data / "arxiv" / name).read_bytes())

    assert not page.rejects
    listed, withdrawn = [r for r in page.records if r.is_listed], [r for r in page.records if r.is_withdrawn]
    assert (len(page.records), len(listed), len(withdrawn)) == READ[name]
    assert all(r.abstract and r.authors and r.categories for r in page.records)


@pytest.mark.data
@pytest.mark.parametrize("name", REFUSED)
def test_a_recorded_file_is_refused_with_a_reason(data, name):
    with pytest.raises(SourceError) as refused:
        parse((data / "arxiv" / name).read_bytes())

    assert REFUSED[name] in str(refused.value)


@pytest.mark.data
@pytest.mark.parametrize("name", ALL_REJECTED)
def test_a_recorded_format_that_is_not_enough_is_refused_record_by_record(data, name):
    page = parse((data / "arxiv" / name).read_bytes())

    assert {reject.reason for reject in page.rejects} == {ALL_REJECTED[name]}
    assert len(page.rejects) == 3


@pytest.mark.data
def test_both_feeds_of_a_day_say_the_same(data):
    one, other = (
        parse((data / "arxiv" / f"rss/{kind}_cs_2026-08-21_30_odd.xml").read_bytes()) for kind in ("rss2", "atom")
    )

    assert one == other


# What a careless or hostile upstream may make of them ----------------------------------------------

pieces = st.sampled_from(
    [
        "",
        "x" * 50_000,
        "\x00",
        "\u202e",
        "<",
        "&",
        "]]>",
        "<x>",
        "</item>",
        "&#xD800;",
        "\ud83d\ude00",
        "null",
        "-1",
        "{",
    ]
)


@given(chance=st.randoms(use_true_random=False), what=st.lists(pieces, min_size=1, max_size=4))
@settings(deadline=None)
def test_no_mutated_page_leaves_the_shape(chance: random.Random, what: list[str]):
    for page in (rss(*[ITEM.format(kind="new")] * 2), atom(ENTRY, ENTRY), oai(RAW.format(comment="1"), RAW)):
        text = page.decode()
        for piece in what:
            start = chance.randrange(len(text))
            text = text[:start] + piece + text[start + chance.randrange(200) :]
        found = parsed(text.encode("utf-8", "surrogatepass"))
        for record in found.records:
            for value in (record.title, record.abstract, *record.authors, *record.categories):
                value.encode()
                assert not any(character < " " or "\u202a" <= character <= "\u202e" for character in value)
        assert all(reject.reason for reject in found.rejects)


def parsed(page: bytes) -> Page:
    """Return what a page holds; nothing where it was refused, which is the only other way out."""
    with suppress(SourceError):
        return parse(page)
    return Page(())
