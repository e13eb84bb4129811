"""Papers as the worst of feeds may hold them, and interests as readers may type them."""

from typing import Any

MARKUP = "<img src=x onerror=alert(1)> </td></table> <script>alert(1)</script> <!-- & &amp; &lt;b&gt; ]]>"
TEMPLATE = "{{ settings.SECRET_KEY }} {% include 'x' %} %s %(n)d ${HOME} `id`"
ARABIC = "الروبوتات تتعلم طي الغسيل بمفردها"
HEBREW = "רובוטים שלומדים לקפל כביסה לבדם"
EMOJI = "👩‍🔬🇪🇺👍🏽"

# Each is to be found by "robots", for all of them are to stand in one digest.
TITLES = (
    f"Robots {MARKUP}",
    f"Robots {TEMPLATE}",
    "Robots that <think> before they act</think> and <|im_end|> after",
    "Robots \u202ethat read backwards\u202c \u2066and inside\u2069 \u200eout\u200f",
    "Robots " + "x" * 1990,
    "A robots title of very many words " * 58,
    "Robots " + "永" * 1990,
    f"{ARABIC} (robots)",
    f"{HEBREW}: robots",
    f"Robots, {ARABIC}, {HEBREW} and back to English",
    r"Robots at $\mathcal{O}(n^2 \log n)$: $\hat{\theta} \in \mathbb{R}^{d}$ for \$5 \& less",
    f"{EMOJI} Robots {EMOJI}",
    "Robots e" + "\u0301" * 300,
    "Robots\r\nBcc: everybody@example.org\r\n\r\n<b>body</b>",
    "Robots \x00\x07\x1b[31mred\x7f \ufffe \ufeff",
    'Robots "double" \'single\' `back` <a href="https://evil.example">here</a>',
    "robots",
    "ROBOTS? YES!!! $$$ 100% FREE!!!",
    "Robots =3D=_boundary== --=_x-- =C3=A9 =?utf-8?q?encoded?=",
    "Robots 机器人学会自己叠衣服 ロボットが洗濯物をたたむ 로봇이 빨래를 갠다",
    "Robots รวมถึงหุ่นยนต์ที่พับผ้าเอง และ रोबोट जो कपड़े तह करते हैं",
    "Robots https://evil.example/" + "a" * 300,
    "From robots\n.\n..\nFrom here on",
    "Robots \u202eمرحبا\u202c mixed \u2067bidi\u2069 isolates",
    "The last of the robots",
)
ABSTRACTS = (
    "",
    f"We let robots loose. {MARKUP} They stayed. {TEMPLATE}",
    f"{ARABIC}. {ARABIC}. robots {ARABIC}. " * 9,
    f"{HEBREW}. {HEBREW}, robots: {HEBREW}. " * 9,
    "Robots cost $5 & <b>more</b>. " + "永" * 3000,
    "robots " + "x" * 5000,
    "Robots need $O(n^2)$ steps where $n < 5$ & $m > 3$. " * 40,
)
NAMES: tuple[list[str], ...] = (
    ["<b>Eve</b>", "y" * 2000, "\x00\x1b[31mred", "Zoë"],
    [f"Author Number {n}" for n in range(500)],
    [],
    ["أحمد علي", "דנה כהן", "Ada Example", "Ben Example"],
    ["Robert'); DROP TABLE papers;--", "{{ name }} %s", EMOJI],
)
ORGANISATIONS = ("", "</td></table>" * 15, ARABIC, "Institute of <think> & Sons", "{{ 7 }}" * 28)
# Readers' own words, each answered by one of the papers.
INTERESTS = (
    "robots",
    "robots {{ settings }}",
    "<script>alert(1)</script>",
    "robots <think>",
    "robots الغسيل",
    "robots כביסה",
)


def papers() -> list[dict[str, Any]]:
    """Return the fields of 25 papers, in which every text above occurs."""
    return [
        {
            "title": title,
            "abstract": ABSTRACTS[n % len(ABSTRACTS)],
            "tldr": ABSTRACTS[2] if n % 6 == 5 else "",
            "authors": NAMES[n % len(NAMES)],
            "organisation": ORGANISATIONS[n % len(ORGANISATIONS)][:200],
            "code_url": "javascript:alert(1)" if n % 2 else "https://github.com/a/b?x=1&y='2'",
            "upvotes": 1234567,
        }
        for n, title in enumerate(TITLES)
    ]
