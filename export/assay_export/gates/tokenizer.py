"""The tokenizer gate: compare the token ids that the runtime will read with those of transformers.

The runtime's own encoding of the written tokenizer.json is compared, truncation included, with AutoTokenizer of the
checkpoint's folder. If the folder also has the files of a slow tokenizer, the two must not contradict each other:
beside tokenizer.json, the slow tokenizer must agree on ordinary text, since its conversion is known to differ on
unusual characters; without tokenizer.json the checkpoint was saved by the slow one, which must agree on every text.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from assay.errors import BundleError, one_line
from assay.inputs.tokenization import BundleTokenizer, Tokens
from assay.inputs.validation import Row
from assay_export.checkpoint.loading import silence_transformers
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reading import refuse_bad_files
from assay_export.checkpoint.tokenizer import TokenizerFiles
from assay_export.errors import CheckpointError, TokenizerError
from assay_export.texts import real_text, tokenizer_probes

__all__ = ["check"]

# Added tokens that are probed, after the special tokens: a vocabulary may have thousands.
_MOST_ADDED = 40
# Room for text in tokens, odd and even, when rows are truncated far below the limit of the model.
_ROOMS = (1, 2, 7, 12)
_UNLIMITED = 1 << 30


def check(tokens: TokenizerFiles, kind: Input) -> int:
    """Compare the tokenizer of a bundle with those of transformers.

    Args:
        tokens: The tokenizer.
        kind: Whether the model reads texts or pairs.

    Returns:
        How many encodings were compared.

    Raises:
        CheckpointError: The runtime does not take the tokenizer.
        TokenizerError: The ids of a row differ. The message shows the row, the position and both tokens.
    """
    with refuse_bad_files(tokens.reference.folder):
        return _check(tokens, kind)


def _check(tokens: TokenizerFiles, kind: Input) -> int:
    reference = tokens.reference
    ordinary = [*_join(kind, tokenizer_probes.ORDINARY), *map(_as_row, real_text.rows(kind))]
    probes = [*tokenizer_probes.UNUSUAL, *tokenizer_probes.list_token_probes(_list_tokens(reference.fast))]
    rows = [*ordinary, *_join(kind, probes)]
    cases = [(row, tokens.max_length) for row in (*rows, *_make_long(kind, tokens))]
    shortest = tokens.tokenizer.num_special_tokens_to_add(is_pair=kind == "pair")
    cases += [(row, shortest + room) for row in ordinary for room in _ROOMS if shortest + room < tokens.max_length]
    runtime = tokens.open_as_runtime(kind)
    with silence_transformers():
        for row, length in cases:
            found = _encode_as_bundle(tokens, runtime, row, length)
            _compare(tokens, row, found, _encode(reference.fast, row, length), "AutoTokenizer")
        slow_rows = [] if reference.slow is None else rows if reference.saved_by_slow else ordinary
        slow_rows = [row for row in slow_rows if not isinstance(row, tuple) or row[1]]
        for row in slow_rows:
            found = _encode_as_bundle(tokens, runtime, row, _UNLIMITED)
            _compare(tokens, row, found, _encode(reference.slow, row, None), type(reference.slow).__name__)
    return len(cases) + len(slow_rows)


def _join(kind: Input, texts: Sequence[str]) -> Iterator[Row]:
    """Yield the texts as rows. In pairs, each stands first and second, and beside an empty text."""
    for text in texts:
        if kind == "text":
            yield text
        else:
            yield from ((text, "What causes rain?"), ("What causes rain?", text), (text, ""), ("", text))


def _as_row(texts: tuple[str, ...]) -> Row:
    return (texts[0], texts[1]) if len(texts) == 2 else texts[0]


def _list_tokens(fast: Any) -> list[str]:
    """List the special tokens and the first other added tokens."""
    special = [str(token) for token in fast.all_special_tokens]
    added = [str(token) for token in fast.added_tokens_encoder if str(token) not in special]
    return [*dict.fromkeys(special), *added[:_MOST_ADDED]]


def _make_long(kind: Input, tokens: TokenizerFiles) -> list[Row]:
    """Make rows of more tokens than the model reads, up to twice as many: the longer text first, second and equal."""
    short = "\n".join(real_text.TEXTS)
    count = len(tokens.tokenizer.encode(short, add_special_tokens=False).ids)
    long = "\n".join([short] * (tokens.max_length // count + 1))
    # Not much longer: tokenizers keeps every combination of the pieces that truncation cuts off both texts.
    offsets = tokens.tokenizer.encode(long, add_special_tokens=False).offsets
    long = long[: offsets[: 2 * tokens.max_length][-1][1]]
    return [long] if kind == "text" else [(long, "What causes rain?"), ("What causes rain?", long), (long, long)]


def _encode_as_bundle(tokens: TokenizerFiles, runtime: BundleTokenizer, row: Row, max_length: int) -> Tokens:
    try:
        (found,) = runtime.encode_to(row, [max_length])
    except BundleError as error:
        reason = one_line(error.__cause__ or error, 300)
        raise CheckpointError(
            f"{tokens.reference.folder}: the tokenizer, from {tokens.reference.origin}, fails on {_show(row)}: "
            f"{reason}; save the tokenizer that the model was trained with into the folder"
        ) from error
    return found


def _encode(tokenizer: Any, row: Row, max_length: int | None) -> Tokens:
    """Encode as `tokenizer(text, text_pair)` does."""
    texts = row if isinstance(row, tuple) else (row,)
    encoded = tokenizer(
        *texts,
        truncation=max_length is not None,
        max_length=max_length,
        return_token_type_ids=True,
        return_tensors="np",
    )
    return Tokens(encoded["input_ids"][0].astype("int64"), encoded["token_type_ids"][0].astype("int64"))


def _compare(tokens: TokenizerFiles, row: Row, found: Tokens, expected: Tokens, who: str) -> None:
    if found.ids.tolist() == expected.ids.tolist():
        if who != "AutoTokenizer" or found.type_ids.tolist() == expected.type_ids.tolist():
            return
        problem = "the numbers of the texts (token_type_ids) differ"
    else:
        problem = _describe(tokens, found, expected, who)
    reference = tokens.reference
    if who == "AutoTokenizer":
        remedy = "report this with the checkpoint's tokenizer files"
    elif reference.saved_by_slow:
        remedy = (
            "the folder has no tokenizer.json, and no fast tokenizer gives these tokens; if the model was trained with "
            "AutoTokenizer, save that tokenizer into the folder"
        )
    else:
        remedy = (
            "if the model was trained with the tokenizer of tokenizer.json, remove the files of the other from the "
            "folder, else remove tokenizer.json"
        )
    raise TokenizerError(
        f"{reference.folder}: the tokenizer of the bundle, from {reference.origin}, and {who} of transformers disagree "
        f"on {_show(row)}: {problem}; nothing was written: {remedy}"
    )


def _describe(tokens: TokenizerFiles, found: Tokens, expected: Tokens, who: str) -> str:
    position = next(
        (index for index, (one, other) in enumerate(zip(found.ids, expected.ids, strict=False)) if one != other),
        min(len(found.ids), len(expected.ids)),
    )
    ours, theirs = (
        f"{tokens.tokenizer.id_to_token(int(row.ids[position]))!r} (id {row.ids[position]})"
        if position < len(row.ids)
        else "no token"
        for row in (found, expected)
    )
    return f"token {position} is {ours} in the bundle, {theirs} in {who}"


def _show(row: Row) -> str:
    text = repr(row)
    return text if len(text) <= 160 else f"{text[:160]}... ({len(text):,} characters)"
