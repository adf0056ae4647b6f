"""The tokenizer of a bundle: the one that AutoTokenizer of transformers 4.57 builds from the checkpoint's folder.

tokenizer.json alone does not say what AutoTokenizer does with a text: tokenizer_config.json and added_tokens.json
change casing, prefix spaces and tokens. Where they change nothing, tokenizer.json is taken byte for byte. Otherwise the
bundle gets AutoTokenizer's own, as the tokenizers library writes it. assay_export.gates.tokenizer compares the two.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assay.errors import BundleError
from assay.inputs.tokenization import BundleTokenizer
from assay_export.checkpoint.auto_tokenizer import (
    TOKENIZER_NAME,
    TransformersTokenizers,
    find_folder,
    open_tokenizers,
)
from assay_export.checkpoint.presets import Input
from assay_export.checkpoint.reading import refuse_bad_files, refuse_pointer
from assay_export.errors import CheckpointError

__all__ = ["TokenizerFiles", "dump", "read"]

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

# A model without a position table reads any length, so tokenizer_config.json decides. transformers writes 1e30 where no
# limit is known, and attention over more tokens than these does not fit a machine's memory.
_LONGEST = 32_768

# A private character, which no vocabulary has.
_UNKNOWN = "a \U000f0000"


@dataclass(frozen=True)
class TokenizerFiles:
    """The tokenizer of a checkpoint, ready to encode, and the two files that the bundle gets.

    Attributes:
        json_bytes: tokenizer.json.
        config: The content of tokenizer_config.json.
        tokenizer: The same as `json_bytes`, without truncation and padding.
        origin: "tokenizer.json" or the file that it was converted from.
        max_length: The longest input in tokens: the limit of the tokenizer where it states one that the model can read.
        split_special_tokens: Whether special tokens that a text spells out are read as text.
        reference: The tokenizers of transformers, which this one must agree with.
    """

    json_bytes: bytes
    config: dict[str, Any]
    tokenizer: Tokenizer
    origin: str
    max_length: int
    split_special_tokens: bool
    reference: TransformersTokenizers

    @property
    def gives_token_types(self) -> bool:
        """Whether transformers calls the model with the numbers of the texts, token_type_ids."""
        return "token_type_ids" in self.reference.fast.model_input_names

    def describe_template(self) -> dict[str, list[str]]:
        """Return how special tokens surround one text and a pair, as $A, $B and the names of tokens."""
        return {"single": _describe_template(self.tokenizer, False), "pair": _describe_template(self.tokenizer, True)}

    def open_as_runtime(self, kind: Input, max_length: int | None = None) -> BundleTokenizer:
        """Open the written tokenizer.json as the runtime does.

        Args:
            kind: Whether a row is a text or a pair.
            max_length: The most tokens of a row; by default `self.max_length`.

        Raises:
            CheckpointError: The runtime does not take it.
        """
        length = self.max_length if max_length is None else max_length
        try:
            return BundleTokenizer(self.json_bytes, kind, length, "longest_first", self.split_special_tokens)
        except BundleError as error:
            raise CheckpointError(f"{self.reference.folder}: the tokenizer does not run: {error}") from error

    def with_inputs(self, names: Collection[str]) -> "TokenizerFiles":
        """Return the same tokenizer, whose config asks for token_type_ids if `names`, a graph's inputs, include it."""
        if "token_type_ids" not in names:
            return self
        inputs = ["input_ids", "token_type_ids", "attention_mask"]
        return dataclasses.replace(self, config={**self.config, "model_input_names": inputs})


def read(
    folders: Sequence[Path], config: Mapping[str, Any], positions: int, longest: int | None = None
) -> TokenizerFiles:
    """Read the tokenizer from the first of `folders` that has one.

    Args:
        folders: The folders of the checkpoint, its own first.
        config: config.json of the model.
        positions: The longest input, in tokens, that config.json states.
        longest: The longest input by another file that counts before tokenizer_config.json, if there is one.

    Raises:
        CheckpointError: There is no tokenizer, transformers cannot open it, it has more tokens than the model, or its
            model_max_length is not a length.
    """
    folder, origin = find_folder(folders)
    with refuse_bad_files(folder / origin):  # a panic of tokenizers over what a file holds is no Exception
        return _read(folder, origin, config, positions, longest)


def _read(folder: Path, origin: str, config: Mapping[str, Any], positions: int, longest: int | None) -> TokenizerFiles:
    own = _parse(folder / TOKENIZER_NAME) if origin == TOKENIZER_NAME else None
    if own is not None:
        _check_size(folder / origin, own, config)
    reference = open_tokenizers(folder, origin, config)
    fast = reference.fast
    names = fast.model_input_names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: model_input_names = {names!r:.80}, expected a list of names, such as "
            '["input_ids", "attention_mask"]'
        )
    # What it holds may be what it cannot read, such as two tokens of one id.
    built = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    # A tokenizer that trained a model pads and cuts as its last call did. transformers sets both anew in each call.
    built.no_padding()
    built.no_truncation()
    _check_size(
        folder / origin, built, config, "with those that tokenizer_config.json and added_tokens.json add, such as"
    )
    _check_encoding(folder / origin, built)
    max_length = _choose_max_length(folder, config, positions, fast.model_max_length if longest is None else longest)
    if max_length <= (specials := len(built.encode("").ids)):
        raise CheckpointError(
            f"{folder}: the longest input is {max_length} tokens (model_max_length in tokenizer_config.json, else the "
            f"positions of config.json), and {specials} special tokens around a text leave no room for it"
        )
    json_bytes = _write_json(folder, own, built, fast.truncation_side, max_length)
    built.encode_special_tokens = bool(fast.split_special_tokens)
    return TokenizerFiles(
        json_bytes=json_bytes,
        config=_write_config(config, fast, built, max_length),
        tokenizer=built,
        origin=origin,
        max_length=max_length,
        split_special_tokens=bool(fast.split_special_tokens),
        reference=reference,
    )


def _parse(path: Path) -> Tokenizer:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    refuse_pointer(path, data)
    try:
        return Tokenizer.from_buffer(data)
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(f"{path} cannot be read by tokenizers: {error}") from error


def _check_size(place: Path, tokenizer: Tokenizer, config: Mapping[str, Any], added: str = "") -> None:
    """Refuse more tokens than the model has rows; `added` says who added tokens to those of the file."""
    rows = config.get("vocab_size")
    tokens = max(tokenizer.get_vocab().values(), default=-1) + 1  # the ids may have gaps
    if not isinstance(rows, int) or tokens > rows:
        last = f" ({added} {tokenizer.id_to_token(tokens - 1)!r})" if added else ""
        raise CheckpointError(
            f"{place} has {tokens:,} tokens{last}, but config.json says vocab_size = {rows!r}: the tokenizer and the "
            "weights belong to different checkpoints"
        )


def _check_encoding(place: Path, tokenizer: Tokenizer) -> None:
    """Refuse a tokenizer that is random, fails for some texts, or makes no tokens of an empty one."""
    dropout = json.loads(tokenizer.to_str())["model"].get("dropout")
    if dropout:
        raise CheckpointError(
            f"{place}: dropout = {dropout!r} in its model splits a text differently at each call: set it to null"
        )
    try:
        tokenizer.encode(_UNKNOWN)
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(
            f"{place}: the tokenizer fails for characters that are not in its vocabulary ({error}): add an unknown "
            "token to it"
        ) from error
    if not tokenizer.encode("").ids:
        raise CheckpointError(
            f"{place}: no special token is put around a text, so that an empty one has no tokens to answer: the "
            "post_processor is missing, which adds [CLS] and [SEP]"
        )


def _choose_max_length(folder: Path, config: Mapping[str, Any], positions: int, stated: object) -> int:
    """Return the longest input: what the tokenizer states if the model can read it, else what the model states."""
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not stated >= 1:
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: model_max_length = {stated!r:.80}, expected a number of at least 1, "
            "or none"
        )
    # Positions relative to each other have no table that ends.
    reads_any = config.get("model_type") == "deberta-v2" and config.get("position_biased_input") is False
    limit = _LONGEST if reads_any else positions
    return int(stated) if stated <= limit else positions


def _write_json(folder: Path, own: Tokenizer | None, built: Tokenizer, side: str, max_length: int) -> bytes:
    """Return tokenizer.json: the checkpoint's bytes if AutoTokenizer changes nothing that the runtime reads.

    The runtime takes from the stored truncation only the side.
    """
    truncation = None if side == "right" else {"max_length": max_length, "direction": side}
    if own is not None:
        stored = (own.truncation or {}).get("direction", "right")
        if stored == side and _describe(own) == _describe(built):
            return (folder / TOKENIZER_NAME).read_bytes()
    written = Tokenizer.from_str(built.to_str())
    written.no_padding()
    written.no_truncation()
    if truncation is not None:
        written.enable_truncation(**truncation)
    return str(written.to_str(pretty=True)).encode()


def _describe(tokenizer: Tokenizer) -> Any:
    """Return the parsed tokenizer.json without truncation and padding."""
    return json.loads(tokenizer.to_str()) | {"truncation": None, "padding": None}


def _write_config(config: Mapping[str, Any], fast: Any, tokenizer: Tokenizer, max_length: int) -> dict[str, Any]:
    """Return a tokenizer_config.json with which every transformers takes tokenizer.json as it is.

    PreTrainedTokenizerFast does so in transformers 4 and 5. Architecture classes (DebertaV2Tokenizer) rebuild parts of
    it, and TokenizersBackend exists in transformers 5 only.
    """
    result: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    names = fast.special_tokens_map
    for key in _SPECIAL_TOKENS:
        token = names.get(key)
        if token is None and key in ("pad_token", "cls_token", "sep_token"):
            token_id = config.get(f"{key}_id")
            token = tokenizer.id_to_token(token_id) if isinstance(token_id, int) else None
        if token is not None and tokenizer.token_to_id(token) is not None:
            result[key] = token
    result["model_max_length"] = max_length
    result["model_input_names"] = ["input_ids", "attention_mask"]
    result["clean_up_tokenization_spaces"] = bool(fast.clean_up_tokenization_spaces)
    if _adds_prefix_space(tokenizer):
        result["add_prefix_space"] = True  # without it, PreTrainedTokenizerFast takes it out of tokenizer.json
    if fast.split_special_tokens:
        result["split_special_tokens"] = True
    if fast.truncation_side != "right":
        result["truncation_side"] = fast.truncation_side
    return result


def _adds_prefix_space(tokenizer: Tokenizer) -> bool:
    step = json.loads(tokenizer.to_str())["pre_tokenizer"]
    return isinstance(step, dict) and step.get("add_prefix_space") is True


def _describe_template(tokenizer: Tokenizer, pair: bool) -> list[str]:
    encoding = tokenizer.encode("a", "a") if pair else tokenizer.encode("a")
    parts: list[str] = []
    for token, is_special, sequence in zip(
        encoding.tokens, encoding.special_tokens_mask, encoding.sequence_ids, strict=True
    ):
        part = token if is_special else "$B" if sequence else "$A"
        if is_special or part not in parts:
            parts.append(part)
    return parts


def dump(document: dict[str, Any]) -> str:
    """Return `document` as the text of a JSON file in a bundle."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
