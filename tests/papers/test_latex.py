"""LaTeX becomes what people see in print; money, tags and what nobody knows stay as they are."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.latex import without_latex
from papers.text import prose, readable


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"Schr\"odinger, Erd\H{o}s, \v{C}ech", "Schrödinger, Erdős, Čech"),
        (r"Fran\c cois \'{e}l\`eve, {\"o}, \'{\i}", "François élève, ö, í"),
        (r"\L{}ukasz, Stra\ss e, {\aa}ngstr\"om, \O rsted", "Łukasz, Straße, ångström, Ørsted"),
        (r"\emph{very \textbf{big}} and {\em old}, \href{https://example.org}{here}", "very big and old, here"),
        (r"``quoted'' 66.4\% of R\&D, so---no", "“quoted” 66.4% of R&D, so—no"),
        ("pages 3--5, width--depth", "pages 3–5, width–depth"),
        (r"as shown~\cite{a,b}, i.e.\ in 19.63\,FPS", "as shown, i.e. in 19.63 FPS"),
        (r"66.4\% with \alpha-divergence, 3\times larger", "66.4% with α-divergence, 3× larger"),
    ],
)  # fmt: skip
def test_type_and_accents_are_set(written, read):
    assert without_latex(written) == read


@pytest.mark.parametrize(
    ("formula", "read"),
    [
        ("$k$", "k"),
        ("O($n^2$)", "O(n²)"),
        (r"$\mathbb{R}^d$", "ℝᵈ"),
        (r"$x \in X$ and $d\times d$", "x ∈ X and d×d"),
        (r"$\frac{q+1}{2}+\sqrt{q}$", "(q+1)/2+√q"),
        (r"\(\widetilde O(\sqrt T)\)", "Õ(√T)"),
        (r"$L_{\mathrm{list}}$, mAP$_{50}$, $x_{ij}$, $W^+$, $30^\circ$", "L_list, mAP₅₀, xᵢⱼ, W⁺, 30°"),
        (r"$N{=}3$, pass@$k$, $10^{-3}$, $x^{a/b}$", "N=3, pass@k, 10⁻³, x^(a/b)"),
        (r"$\log_2 n$, $\min\{M_1,M_2\}$", "log₂ n, min{M₁,M₂}"),
        (r"$\sim$1.5M, 224$\times$224, $\sim$$100\times$", "∼1.5M, 224×224, ∼100×"),
        (r"via Newton$\unicode{x2013}$Schulz", "via Newton–Schulz"),
        ("$$a+b$$", "a+b"),
    ],
)
def test_a_simple_formula_is_shown_in_characters(formula, read):
    assert without_latex(formula) == read


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 to $10",
        "between $5 and $10, or $0.001 and less than $0.002",
        "costs $5-$10 or ($/1k queries)",
        "Use <think> and <|im_end|> for $5",
        r"C:\to and \newline and \ours{} stay",
        r"$\binom{n}{k}$ and $\xrightarrow{f}$ and $\mystery{x}$",
        "call it with --verbose, a_b and x^2",
        "$",
        "$$",
        r"$\frac{a}$",
        "$" + "{" * 20 + "x" + "}" * 20 + "$",
        r"don't \t \' and $}{$",
    ],
)
def test_money_tags_and_what_is_not_simple_stay(text):
    assert without_latex(text) == text


def test_an_escaped_apostrophe_is_no_accent():
    assert without_latex(r"It\'s what they don\'t say") == "It's what they don't say"


def test_an_escaped_dollar_is_money():
    assert without_latex(r"a \$1M prize and \$9{,}036") == "a $1M prize and $9,036"


def test_prose_is_readable_as_well():
    assert prose("Two\nlines of $\\alpha\u202e$\x00-stable <think>") == "Two lines of α-stable <think>"
    assert prose("$a\nb$") == "a b"


pieces = st.sampled_from([
    "$", "\\", "{", "}", "^", "_", "5", " ", "a", "é", "\\alpha", "\\emph{", "\\frac", "\\\"o", "``", "''", "--", "\\(",
    "\\)", "\\$", "\\%", "\\left", "\\mathbb{R}", "\\hat", "~", "\\cite{x}", "\\c", "\\'", "\n", "\u202e",
    "\\sqrt[", "\\\\",
])  # fmt: skip


@given(st.one_of(st.text(), st.lists(pieces).map("".join)))
def test_twice_is_once_and_nothing_raises(text):
    once = without_latex(text)

    assert without_latex(once) == once
    assert prose(prose(text)) == prose(text)
    assert readable(prose(text)) == prose(text)


@pytest.mark.parametrize("evil", ["$", "\\", "{", "$a", "\\emph{", "\\(", "``a", " ~", "\\cite", "\\href{a}"])
def test_a_hostile_text_comes_to_an_end(evil):
    # A rule that looks back or ahead without bound would take minutes here.
    text = evil * 30_000 + "\\cite$"

    assert len(without_latex(text)) <= len(text)


@pytest.mark.data
def test_recorded_abstracts_lose_their_commands(data):
    papers = map(json.loads, gzip.decompress((data / "arxiv" / "papers.jsonl.gz").read_bytes()).splitlines()[::5])
    texts = [text for paper in papers for text in (paper["title"], paper["abstract"]) if "\\" in text or "$" in text]
    read = [prose(text) for text in texts]

    assert all(prose(text) == text for text in read)
    assert sum("\\" in text for text in texts) > 10 * sum("\\" in text for text in read)
