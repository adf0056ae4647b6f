"""The tokenizer of a bundle: the checkpoint's own tokenizer.json, byte for byte.

It is never saved again through AutoTokenizer: transformers 5 rebuilds DeBERTa-v2's with another normalizer, and each
major version refuses or misreads what the other wrote. A checkpoint without tokenizer.json has its slow tokenizer
converted.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assay_export.checkpoint.files import read_json
from assay_export.errors import CheckpointError

__all__ = ["TokenizerFiles", "dump", "read"]

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SENTENCEPIECE_FILES = ("spm.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class TokenizerFiles:
    """The tokenizer of a checkpoint, ready to encode, and the two files that the bundle gets.

    `json_bytes` is tokenizer.json, and `config` the content of tokenizer_config.json. `origin` is "tokenizer.json" or
    the file that it was converted from.
    """

    json_bytes: bytes
    config: dict[str, Any]
    tokenizer: Tokenizer
    origin: str

    def describe_template(self) -> dict[str, list[str]]:
        """Return how special tokens surround one text and a pair, as $A, $B and the names of tokens."""
        return {"single": _describe_template(self.tokenizer, False), "pair": _describe_template(self.tokenizer, True)}

    def with_inputs(self, names: Collection[str]) -> "TokenizerFiles":
        """Return the same tokenizer, whose config asks for token_type_ids if `names`, a graph's inputs, include it."""
        if "token_type_ids" not in names:
            return self
        inputs = ["input_ids", "token_type_ids", "attention_mask"]
        return dataclasses.replace(self, config={**self.config, "model_input_names": inputs})


def read(folders: Sequence[Path], config: Mapping[str, Any], max_length: int) -> TokenizerFiles:
    """Read the tokenizer from the first of `folders` that has one.

    Args:
        folders: The folders of the checkpoint, its own first.
        config: config.json of the model.
        max_length: The longest input of the model in tokens.

    Raises:
        CheckpointError: There is no tokenizer, it does not parse, or it has more tokens than the model.
    """
    folder = next((f for f in folders if (f / "tokenizer.json").is_file()), None)
    if folder is not None:
        json_bytes, origin = (folder / "tokenizer.json").read_bytes(), "tokenizer.json"
    else:
        folder, json_bytes, origin = _convert(folders)
    try:
        tokenizer = Tokenizer.from_buffer(json_bytes)
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(f"{folder / origin} cannot be read by tokenizers: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = config.get("vocab_size")
    tokens = max(tokenizer.get_vocab().values(), default=-1) + 1  # the ids may have gaps
    if not isinstance(rows, int) or tokens > rows:
        raise CheckpointError(
            f"{folder / origin} has {tokens:,} tokens, but config.json says vocab_size = {rows!r}: the tokenizer and "
            "the weights belong to different checkpoints"
        )
    return TokenizerFiles(json_bytes, _write_config(folder, config, tokenizer, max_length), tokenizer, origin)


def _convert(folders: Sequence[Path]) -> tuple[Path, bytes, str]:
    """Convert a SentencePiece model or another slow tokenizer with transformers 4.57.

    Returns:
        The folder, the bytes of tokenizer.json, and the name of the file that was converted.
    """
    import transformers
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    for folder in folders:
        files = [name for name in (*_SENTENCEPIECE_FILES, "vocab.txt", "vocab.json") if (folder / name).is_file()]
        if not files:
            continue
        try:
            if files[0] == "spm.model":
                slow = transformers.DebertaV2Tokenizer(str(folder / files[0]))
                converted = convert_slow_tokenizer(slow)
            else:
                converted = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True).backend_tokenizer
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"{folder / files[0]} cannot be converted to tokenizer.json: {reason}") from error
        return folder, converted.to_str(pretty=True).encode(), files[0]
    places = " or ".join(str(folder) for folder in folders)
    raise CheckpointError(f"no tokenizer.json or spm.model in {places}: copy the checkpoint's tokenizer there")


def _write_config(folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer, max_length: int) -> dict[str, Any]:
    """Return a tokenizer_config.json with which every transformers takes tokenizer.json as it is.

    PreTrainedTokenizerFast does so in transformers 4 and 5. Architecture classes (DebertaV2Tokenizer) rebuild parts of
    it, and TokenizersBackend exists in transformers 5 only.
    """
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found |= read_json(folder / name)
    side = found.get("truncation_side", "right")
    if side != "right":
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: truncation_side = {side!r} is not supported (supported: 'right')"
        )
    result: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for key in _SPECIAL_TOKENS:
        token = found.get(key)
        if isinstance(token, dict):
            token = token.get("content")
        if token is None and key in ("pad_token", "cls_token", "sep_token"):
            token_id = config.get(f"{key}_id")
            token = tokenizer.id_to_token(token_id) if isinstance(token_id, int) else None
        if isinstance(token, str) and tokenizer.token_to_id(token) is not None:
            result[key] = token
    result["model_max_length"] = max_length
    result["model_input_names"] = ["input_ids", "attention_mask"]
    result["clean_up_tokenization_spaces"] = bool(found.get("clean_up_tokenization_spaces", False))
    return result


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
