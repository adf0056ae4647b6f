"""The tokenizer of a bundle: the checkpoint's own tokenizer.json, byte for byte.

It is never re-saved through AutoTokenizer: transformers 5 rebuilds DeBERTa-v2's with another normalizer, and refuses or
mis-reads what the other major version wrote. Only where a checkpoint has none is one converted, once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assay_export.checkpoint.loading import read_json
from assay_export.errors import CheckpointError

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SENTENCEPIECE_FILES = ("spm.model", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class TokenizerFiles:
    """tokenizer.json as bytes, tokenizer_config.json as a dict, and the tokenizer itself, ready to encode."""

    json_bytes: bytes
    config: dict[str, Any]
    tokenizer: Tokenizer
    origin: str  # "tokenizer.json" or the file it was converted from

    def template(self) -> dict[str, list[str]]:
        """How special tokens are put around one text and around a pair, as $A, $B and token names."""
        return {"single": _template(self.tokenizer, False), "pair": _template(self.tokenizer, True)}


def read(folders: Sequence[Path], config: dict[str, Any], max_length: int, uses_token_types: bool) -> TokenizerFiles:
    """Finds the tokenizer in the first of `folders` that has one.

    Raises:
        CheckpointError: there is none, it does not parse, or it has more tokens than the model.
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
    tokens = max(tokenizer.get_vocab().values(), default=-1) + 1  # ids, of which some may have no token
    if not isinstance(rows, int) or tokens > rows:
        raise CheckpointError(
            f"{folder / origin} has {tokens:,} tokens, but config.json says vocab_size = {rows!r}: the tokenizer and "
            "the weights are not of one checkpoint"
        )
    return TokenizerFiles(
        json_bytes, _tokenizer_config(folder, config, tokenizer, max_length, uses_token_types), tokenizer, origin
    )


def _convert(folders: Sequence[Path]) -> tuple[Path, bytes, str]:
    """tokenizer.json from a SentencePiece model or another slow tokenizer's files, by transformers 4.57."""
    import transformers
    from transformers.convert_slow_tokenizer import convert_slow_tokenizer

    for folder in folders:
        files = [name for name in (*SENTENCEPIECE_FILES, "vocab.txt", "vocab.json") if (folder / name).is_file()]
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


def _tokenizer_config(
    folder: Path, config: dict[str, Any], tokenizer: Tokenizer, max_length: int, uses_token_types: bool
) -> dict[str, Any]:
    """tokenizer_config.json that any transformers opens as what tokenizer.json says and nothing else.

    PreTrainedTokenizerFast is the class that takes tokenizer.json as it is in transformers 4 and 5; architecture
    classes (DebertaV2Tokenizer) rebuild parts of it, and TokenizersBackend exists in transformers 5 only.
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
    for key in SPECIAL_TOKENS:
        token = found.get(key)
        if isinstance(token, dict):
            token = token.get("content")
        if token is None and key in ("pad_token", "cls_token", "sep_token"):
            token_id = config.get(f"{key}_id")
            token = tokenizer.id_to_token(token_id) if isinstance(token_id, int) else None
        if isinstance(token, str) and tokenizer.token_to_id(token) is not None:
            result[key] = token
    result["model_max_length"] = max_length
    names = ["input_ids", "attention_mask"]
    result["model_input_names"] = [names[0], "token_type_ids", names[1]] if uses_token_types else names
    result["clean_up_tokenization_spaces"] = bool(found.get("clean_up_tokenization_spaces", False))
    return result


def _template(tokenizer: Tokenizer, pair: bool) -> list[str]:
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
    """JSON as every file of a bundle is written."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
