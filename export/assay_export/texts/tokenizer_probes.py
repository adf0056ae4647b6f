"""Texts on which tokenizers differ although they agree on plain sentences, for the tokenizer gate."""

from collections.abc import Sequence

__all__ = ["ORDINARY", "UNUSUAL", "list_token_probes"]

# Plain text: casing, punctuation, numbers, accents. The fast and the slow tokenizer of one checkpoint agree on these.
ORDINARY = (
    "WHAT CAUSES RAIN?",
    "What Causes Rain",
    "what causes rain",
    "iPhone, NASA and McDonald's",
    "Don't stop; it's 5% off (or $3.50)!",
    "well-known e-mail: a_b@c.org",
    "naïve café, Zürich, Ångström, Łódź",
    "Привет, МИР. ΑΒΓ αβγ.",
    "3.14159 and 1,000,000",
)

# White space, Unicode that normalization changes, characters without a piece.
UNUSUAL = (
    "",
    " ",
    "\n",
    " leading",
    "trailing ",
    "two  spaces",
    "space , before , marks",
    "tab\tand\nline\r\nends",
    "a\u00a0b\u3000c\u2028d",
    "\u200bzero\u200d width\ufeff",
    "bell\x07 and nul\x00 and del\x7f",
    "lost \ufffd character \ufffd",
    "wait… what… ‘quoted’ “twice” —dash–",  # noqa: RUF001
    "ﬁve ½ x² № ㍿ ①",
    "「引用」中文，测试。日本語テスト",  # noqa: RUF001
    "ＦＵＬＬ　ｗｉｄｔｈ！",  # noqa: RUF001
    "e\u0301 and é, A\u030angström",
    "İstanbul, ISPARTA ıspanak, straße STRASSE ẞ",  # noqa: RUF001
    "Σίσυφος ΣΊΣΥΦΟΣ",
    "🙂 👩‍👩‍👧 🇩🇪 👍🏽",
    "हिन्दी ภาษาไทย العربية עברית",
    "\u2581low line\u2581 a\u2581b",
    "##wordpiece Ġbyte </w>",
    "x" * 120,
)


def list_token_probes(tokens: Sequence[str]) -> list[str]:
    """Return texts that spell out special and added tokens: alone, inside a word, between words, in another case."""
    return [
        text
        for token in tokens
        for text in (token, f"a{token}b", f"a {token} b", f"{token} b", f"a {token}", token.lower(), token.upper())
    ]
