"""The checks on received messages find each fault that they are there for."""

import pytest

from tests.message_checks import check_message

URL = "https://papers.example.org"
LINK = f"{URL}/u/{'A' * 22}"
GOOD = f"""\
From: Paperboy <digest@papers.example.org>
To: ada@example.org
Subject: A paper, and 6 more
Date: Wed, 01 Jul 2026 07:00:00 +0000
Message-ID: <abc@papers.example.org>
List-Id: Paperboy <digest.papers.example.org>
List-Unsubscribe: <{LINK}>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Auto-Submitted: auto-generated
Feedback-ID: digest:paperboy
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset="utf-8"

Unsubscribe: {LINK} https://arxiv.org/abs/2401.00001
--b
Content-Type: text/html; charset="utf-8"

<body><div>A preheader that says in one sentence what is inside.</div>
<a href="{LINK}">Unsubscribe</a> <a href="https://arxiv.org/abs/2401.00001">Paper</a> <a href="{LINK}">Unsubscribe</a>
</body>
--b--
"""


def check(old="", new="", **options):
    assert old in GOOD
    return check_message(GOOD.replace(old, new).replace("\n", "\r\n").encode(), URL, **options)


def test_a_good_message_has_no_faults():
    assert check() == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Date: Wed, 01 Jul 2026 07:00:00 +0000\n", "Date: Wed, 01 Jul 2026 07:00:00 +0000\n" * 2, "2 Date headers"),
        ("To: ada@example.org", "To: ada@example.org, ben@example.org", "several recipients"),
        ("<abc@papers.example.org>", "<abc@container-7>", "Message-ID"),
        ("List-Unsubscribe: <", "List-Unsubscribe: =?utf-8?q?<", "raw address"),
        (f"List-Unsubscribe: <{LINK}>\n", "", "List-Unsubscribe"),
        ("List-Unsubscribe-Post: List-Unsubscribe=One-Click\n", "", "List-Unsubscribe-Post"),
        ("<digest.papers.example.org>", "digest", "List-Id"),
        ("auto-generated", "auto-replied", "Auto-Submitted"),
        ("digest:paperboy", "a:b:c:d:paperboy", "Feedback-ID"),
        ("digest:paperboy", "digest:pb", "Feedback-ID"),
        ("text/plain", "text/enriched", "the parts are"),
        ('charset="utf-8"\n\nUnsub', 'charset="iso-8859-1"\n\nUnsub', "iso-8859-1"),
        ("Paper</a>", "P" * 999 + "</a>", "octets"),
        ("</body>", "<p>word word</p>\n" * 8000 + "</body>", "octets of HTML"),
        ("A preheader that says in one sentence what is inside.", "Short.", "first text"),
        ('href="https://arxiv.org/abs/2401.00001"', 'href="/abs/2401.00001"', "not absolute"),
        ('href="https://arxiv.org/abs/2401.00001"', 'href="javascript:x()"', "not absolute"),
        (" https://arxiv.org/abs/2401.00001\n", "\n", "lacks the link"),
        (f'<a href="{LINK}">Unsubscribe</a> <a href="https://arxiv', '<a href="https://arxiv', "2 times"),
    ],
)
def test_a_fault_is_found(old, new, fault):
    assert any(fault in found for found in check(old, new))


def test_a_link_that_leads_away_is_a_fault_unless_it_is_a_papers_own():
    assert check(paper_links={"https://arxiv.org/abs/2401.00001"}) == []
    assert check(paper_links=()) == ["the link https://arxiv.org/abs/2401.00001 leads away from us"]


def test_our_links_are_https_except_on_loopback():
    plain = GOOD.replace(URL, "http://papers.example.org").encode()
    local = GOOD.replace(URL, "http://127.0.0.1:8000").encode()

    assert any("not https" in fault for fault in check_message(plain, "http://papers.example.org"))
    assert check_message(local, "http://127.0.0.1:8000") == []
