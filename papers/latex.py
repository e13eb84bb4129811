"""LaTeX in titles, abstracts and names, as the characters that people would see in print.

pylatexenc does this too, but it takes ``$5`` for mathematics and ``%`` for a comment, drops what it
does not know and has had no release since 2021. Here only what is known and simple is rewritten;
everything else, money and ``<think>`` included, stays as it was written.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import partial

LONGEST_FORMULA = 300  # characters; a formula that long is read on arXiv
DEEPEST = 8  # braces in braces

_SIGNS = re.compile(r"[\\$]|``|--|\{,\}")


def without_latex(text: str) -> str:
    """Return ``text`` with accents, commands for type and simple formulas as plain Unicode.

    Doing it twice is doing it once: what would change again is left as it was.
    """
    if not _SIGNS.search(text):
        return text
    once = _rewritten(text)
    twice = _rewritten(once)
    if once == twice:
        return once
    return twice if _rewritten(twice) == twice else text


def _rewritten(text: str) -> str:
    text = _FORMULA.sub(_formula, text)
    text = _TYPE.sub(_untyped, text)
    text = _ACCENT.sub(_accented, text)
    text = _LETTER.sub(lambda match: _LETTERS[match[2]], text)
    for _ in range(2):  # emphasis within emphasis
        text = _TYPE.sub(_untyped, text)
    text = _CITATION.sub("", text)
    text = _NAMED.sub(lambda match: _SYMBOLS.get(match[1], match[0]), text)
    text = _SPACE.sub(" ", text)
    text = _ESCAPED.sub(r"\1", text)
    text = _QUOTED.sub("“\\1”", text)
    text = text.replace("{,}", ",")
    text = _EM_DASH.sub("—", text)
    return _EN_DASH.sub("–", text)


# Outside formulas -------------------------------------------------------------------------------

_MARKS = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328", "r": "\u030a", "d": "\u0323",
}  # fmt: skip
_LETTERS = {
    "ss": "ß", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å",
    "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ", "DJ": "Đ", "i": "ı", "j": "ȷ",
}  # fmt: skip
_DOTLESS = {r"\i": "i", r"\j": "j"}

_ACCENT = re.compile(
    r"(?P<open>\{)?\\{1,2}(?:(?P<sign>[\"'`^~=.])(?:\{\s*(?P<a>\\[ij]|[A-Za-z])\s*\}|(?P<b>\\[ij](?![A-Za-z])|[A-Za-z]))"
    r"|(?P<name>[cvuHkrd])(?:\s*\{\s*(?P<c>\\[ij]|[A-Za-z])\s*\}|\s+(?P<d>[A-Za-z])))(?(open)\})"
)
_LETTER = re.compile(
    rf"(?P<open>\{{)?\\({'|'.join(sorted(_LETTERS, key=len, reverse=True))})(?![A-Za-z])"
    r"(?(open)\}|(?:\{\}|\s+(?=[^\W\d_]))?)"
)
_CONTRACTED = re.compile(r"(?<=[A-Za-z])\\'[sdmt](?![A-Za-z])")

_TYPE_COMMANDS = (
    "emph|text(?:bf|it|tt|sf|sc|rm|md|up|sl|normal|subscript|superscript)?|mbox|underline|uline"
    "|mathrm|mathbf|mathcal|url"
)
_TYPE = re.compile(
    rf"\\(?:{_TYPE_COMMANDS})\s*\{{([^{{}}]*)\}}"
    r"|\\href\s*\{[^{}]*\}\s*\{([^{}]*)\}"
    r"|\{\\(?:em|bf|it|tt|sc|rm|sf)\s+([^{}]*)\}"
)
_CITATION = re.compile(r"[\s~]{0,3}\\cite[pt]?\*?\{[^{}]*\}")
_NAMED = re.compile(r"(?<![A-Za-z:\\])\\([A-Za-z]+)(?:\{\})?")
_SPACE = re.compile(r"(?<=[\w.)%])\\[, ](?=\S)")
_ESCAPED = re.compile(r"(?<!\\)\\([%&_#{}$])")
_QUOTED = re.compile(rf"``([^`]{{1,{LONGEST_FORMULA}}}?)''")
_EM_DASH = re.compile(r"(?<=\w)---(?=\w)|(?<=\w )---(?= \w)")
_EN_DASH = re.compile(r"(?<=[^\W_])--(?=[^\W_])")


def _untyped(match: re.Match[str]) -> str:
    return match[1] or match[2] or match[3] or ""


def _accented(match: re.Match[str]) -> str:
    r"""Return the letter with its accent, or what was there if no such letter exists (``\t``, ``don\'t``)."""
    if _CONTRACTED.match(match.string, match.start()):
        return match[0][1:]
    letter = match["a"] or match["b"] or match["c"] or match["d"]
    whole = unicodedata.normalize("NFC", _DOTLESS.get(letter, letter) + _MARKS[match["sign"] or match["name"]])
    return whole if len(whole) == 1 else match[0]


# Formulas ---------------------------------------------------------------------------------------

_FORMULA = re.compile(
    rf"(?<!\\)\$\$((?:[^$\\]|\\[^$]){{1,{LONGEST_FORMULA}}})\$\$"
    rf"|(?<!\\)\$((?:[^$\\]|\\[^$]){{1,{LONGEST_FORMULA}}})\$"
    rf"|(?<!\\)\\\(((?:[^\\]|\\[^()]){{1,{LONGEST_FORMULA}}})\\\)"
    rf"|(?<!\\)\\\[((?:[^\\]|\\[^\[\]]){{1,{LONGEST_FORMULA}}})\\\]"
)
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}[,;]?\s+[A-Za-z]{2,}\s")
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)

_AS_WRITTEN = {
    "text", "textbf", "textit", "texttt", "textsf", "textsc", "textrm", "textnormal", "emph", "mbox", "mathrm",
    "mathbf", "mathit", "mathsf", "mathtt", "mathcal", "mathscr", "mathfrak", "boldsymbol", "bm", "pmb", "operatorname",
    "operatorname*", "mathop", "mathbin", "mathrel", "ensuremath", "underline",
}  # fmt: skip
_NOTHING = {
    "left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl",
    "Biggr", "limits", "nolimits", "displaystyle", "textstyle", "scriptstyle", "tiny", "small", "rm", "bf", "it", "cal",
    "tt", "!", "/",
}  # fmt: skip
_SPACES = {",", ";", ":", ">", " ", "quad", "qquad", "thinspace"}
_FUNCTIONS = {
    "log", "ln", "lg", "exp", "min", "max", "sup", "inf", "lim", "arg", "argmin", "argmax", "det", "dim", "ker", "Pr",
    "gcd", "sin", "cos", "tan", "cot", "sinh", "cosh", "tanh", "deg", "mod", "bmod", "rank", "tr", "diag", "sgn",
    "softmax",
}  # fmt: skip
_FRACTIONS = {"frac", "dfrac", "tfrac", "nicefrac"}
_OVER = {
    "hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "overline": "\u0304", "tilde": "\u0303",
    "widetilde": "\u0303", "vec": "\u20d7", "dot": "\u0307", "ddot": "\u0308", "check": "\u030c",
}  # fmt: skip
_SMALL = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_CAPITAL = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")


def _greek(name: str) -> str:
    size = "SMALL" if name.islower() else "CAPITAL"
    return unicodedata.lookup(f"GREEK {size} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")


_SYMBOLS = {
    **{name: _greek(name) for name in (*_SMALL, *_CAPITAL)},
    "varepsilon": "ε", "vartheta": "ϑ", "varphi": "φ", "varrho": "ϱ", "varsigma": "ς", "varpi": "ϖ", "varkappa": "ϰ",
    "ell": "ℓ", "infty": "∞", "partial": "∂", "nabla": "∇", "hbar": "ℏ", "emptyset": "∅", "varnothing": "∅",
    "times": "×", "pm": "±", "mp": "∓", "cdot": "·", "div": "÷", "ast": "∗", "star": "⋆", "circ": "∘", "bullet": "•",
    "oplus": "⊕", "otimes": "⊗", "odot": "⊙", "cup": "∪", "cap": "∩", "bigcup": "⋃", "bigcap": "⋂", "setminus": "∖",
    "wedge": "∧", "vee": "∨", "land": "∧", "lor": "∨", "neg": "¬", "lnot": "¬", "forall": "∀", "exists": "∃",
    "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠", "ll": "≪",
    "gg": "≫", "lesssim": "≲", "gtrsim": "≳", "approx": "≈", "sim": "∼", "simeq": "≃", "cong": "≅", "equiv": "≡",
    "propto": "∝", "asymp": "≍", "in": "∈", "notin": "∉", "ni": "∋", "subset": "⊂", "subseteq": "⊆", "supset": "⊃",
    "supseteq": "⊇", "perp": "⊥", "parallel": "∥", "mid": "|", "to": "→", "rightarrow": "→", "leftarrow": "←",
    "leftrightarrow": "↔", "Rightarrow": "⇒", "Leftarrow": "⇐", "Leftrightarrow": "⇔", "implies": "⇒", "iff": "⇔",
    "mapsto": "↦", "longrightarrow": "⟶", "uparrow": "↑", "downarrow": "↓", "langle": "⟨", "rangle": "⟩",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "sum": "∑", "prod": "∏", "int": "∫", "oint": "∮",
    "ldots": "…", "dots": "…", "cdots": "⋯", "dotsc": "…", "prime": "′", "dagger": "†", "ddagger": "‡", "degree": "°",
    "top": "⊤", "bot": "⊥", "models": "⊨", "vdash": "⊢", "square": "□", "Box": "□", "triangle": "△", "checkmark": "✓",
    "S": "§", "P": "¶", "copyright": "©", "pounds": "£", "euro": "€", "Re": "ℜ", "Im": "ℑ", "aleph": "ℵ",
    "textbackslash": "∖", "textasciitilde": "~", "textdegree": "°", "textmu": "μ", "textendash": "–", "textemdash": "—",
    "colon": ":", "lVert": "‖", "rVert": "‖", "Vert": "‖", "vert": "|", "lvert": "|", "rvert": "|",
}  # fmt: skip
_RAISED = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδεθιφχ−′⊤∘",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᵋᶿᶥᵠᵡ⁻′ᵀ°",
        strict=True,
    )
)
_LOWERED = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))


class _NotSimpleError(Exception):
    """A formula that plain characters cannot show."""


def _formula(match: re.Match[str]) -> str:
    """Return a formula in plain characters, or as it was written if it holds anything that is not known."""
    source = next(filter(None, match.groups()))
    if match[2] and _is_money(match):
        return match[0]
    tokens = _TOKEN.findall(source)[::-1]
    try:
        plain = _sequence(tokens, 0)
    except _NotSimpleError:
        return match[0]
    return match[0] if tokens else plain.strip()


def _is_money(match: re.Match[str]) -> bool:
    """Tell two sums of money, and what stands between them, from a formula.

    A formula does not begin or end with a space unless it has commands, and is not prose unless
    somebody made letters slanted with it; a digit behind it means that it does not begin with one.
    """
    source, after = match[2], match.string[match.end() : match.end() + 1]
    is_spaced = source[0].isspace() or source[-1].isspace()
    return bool(
        (is_spaced and not re.search(r"\\[A-Za-z]", source))
        or (not source[0].isalpha() and _PROSE.search(source))
        or (after.isdigit() and source[0].isdigit())
    )


def _sequence(tokens: list[str], depth: int) -> str:
    """Take from the end of ``tokens`` what stands before a closing brace, and return it in plain characters."""
    parts: list[str] = []
    while tokens and tokens[-1] != "}":
        is_command = len(tokens[-1]) > 1 and tokens[-1][0] == "\\" and tokens[-1][1:] not in _FUNCTIONS
        parts.append(_term(tokens, depth))
        is_tight = not parts[-2:-1] or not parts[-2][-1:].isspace()
        if is_command and is_tight and tokens and tokens[-1].isspace():
            tokens.pop()  # it only ended the command's name
    return "".join(parts)


def _term(tokens: list[str], depth: int) -> str:
    piece = tokens.pop()
    if piece == "{":
        return _group(tokens, depth + 1)
    if piece in "^_":
        return _shifted(piece, _argument(tokens, depth))
    if piece == "~" or piece.isspace():
        return " "
    if piece[0] == "\\":
        return _command(piece[1:], tokens, depth)
    return piece


def _group(tokens: list[str], depth: int) -> str:
    if depth > DEEPEST:
        raise _NotSimpleError
    inner = _sequence(tokens, depth)
    if not tokens:
        raise _NotSimpleError
    tokens.pop()
    return inner


def _argument(tokens: list[str], depth: int) -> str:
    while tokens and tokens[-1].isspace():
        tokens.pop()
    if not tokens or tokens[-1] in "}^_[" or depth > DEEPEST:
        raise _NotSimpleError
    return _term(tokens, depth + 1)


def _command(name: str, tokens: list[str], depth: int) -> str:
    if name in _ON_ARGUMENT:
        return _ON_ARGUMENT[name](_argument(tokens, depth))
    if name in _FRACTIONS:
        return f"{_bracketed(_argument(tokens, depth))}/{_bracketed(_argument(tokens, depth))}"
    if name in _FUNCTIONS:
        return f"{name} " if tokens and tokens[-1][0] not in "^_ ()[]{}|,.\\" else name
    if name in _SPELLED:
        return _SPELLED[name]
    raise _NotSimpleError


def _shifted(sign: str, what: str) -> str:
    """Return an exponent or an index, raised or lowered where there are such characters, else behind its sign."""
    table = _RAISED if sign == "^" else _LOWERED
    is_word = len(what) > 2 and what.isalpha()
    if not is_word and all(character in table for character in what):
        return "".join(map(table.__getitem__, what))
    return what if what in {"*", "†"} else f"{sign}{_bracketed(what)}"


def _bracketed(what: str) -> str:
    return what if what.isalnum() or len(what) == 1 else f"({what.strip()})"


def _with_mark(what: str, mark: str) -> str:
    if len(what) != 1:
        raise _NotSimpleError
    return unicodedata.normalize("NFC", what + mark)


def _numbered(code: str) -> str:
    if not re.fullmatch(r"x[0-9A-Fa-f]{2,4}", code) or not chr(int(code[1:], 16)).isprintable():
        raise _NotSimpleError
    return chr(int(code[1:], 16))


def _double_struck(letters: str) -> str:
    return "".join(map(_double_struck_letter, letters))


def _double_struck_letter(letter: str) -> str:
    if letter in "CHNPQRZ":
        return unicodedata.lookup(f"DOUBLE-STRUCK CAPITAL {letter}")
    if "A" <= letter <= "Z":
        return unicodedata.lookup(f"MATHEMATICAL DOUBLE-STRUCK CAPITAL {letter}")
    return letter


def _root(what: str) -> str:
    return f"√{_bracketed(what)}"


_SPELLED = {
    **dict.fromkeys(_NOTHING, ""),
    **dict.fromkeys(_SPACES, " "),
    **{sign: sign for sign in "%&#_{}"},
    **_SYMBOLS,
    "|": "‖",
}
_ON_ARGUMENT: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(_AS_WRITTEN, str),
    **{name: partial(_with_mark, mark=mark) for name, mark in _OVER.items()},
    "mathbb": _double_struck,
    "unicode": _numbered,
    "sqrt": _root,
}
