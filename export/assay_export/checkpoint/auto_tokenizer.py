"""The tokenizers that transformers 4.57 builds from the folder of a checkpoint: AutoTokenizer's, and the slow one.

A folder with tokenizer.json was saved by a fast tokenizer, so AutoTokenizer's fast tokenizer is the one to reproduce. A
folder without it was saved by a slow one. Its conversion by transformers differs from it in places, which `_correct`
repairs for the tokenizers that are known to need it.
"""

import json
import tempfile
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from assay_export.checkpoint.loading import silence_transformers
from assay_export.checkpoint.reading import read_json
from assay_export.errors import CheckpointError

__all__ = ["TOKENIZER_NAME", "TransformersTokenizers", "find_folder", "open_tokenizers"]

TOKENIZER_NAME = "tokenizer.json"

# The files of slow tokenizers, in the order in which one names the origin of a conversion.
_SLOW_FILES = ("spm.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_CONFIG_NAME = "config.json"
_FAST = "PreTrainedTokenizerFast"
_SPM_CLASS = "DebertaV2Tokenizer"
# transformers leaves a space at the end of a segment as a token, SentencePiece drops it.
_DROPS_SPACES = ("DebertaV2Tokenizer", "AlbertTokenizer")


@dataclass(frozen=True)
class TransformersTokenizers:
    """The tokenizers of a checkpoint as transformers builds them.

    Attributes:
        folder: The folder that they were read from.
        origin: "tokenizer.json", or the file of the slow tokenizer that was converted.
        fast: AutoTokenizer's; for a folder without tokenizer.json, with the corrected conversion.
        slow: The slow tokenizer, if the folder has the files of one.
    """

    folder: Path
    origin: str
    fast: Any
    slow: Any

    @property
    def saved_by_slow(self) -> bool:
        """Whether the slow tokenizer decides, because the folder has no tokenizer.json."""
        return self.origin != TOKENIZER_NAME


def find_folder(folders: Sequence[Path]) -> tuple[Path, str]:
    """Return the first folder that has a tokenizer, and the name of the file that says which.

    Raises:
        CheckpointError: No folder has one.
    """
    for folder in folders:
        for name in (TOKENIZER_NAME, *_SLOW_FILES):
            if (folder / name).is_file():
                return folder, name
    places = " or ".join(str(folder) for folder in folders)
    raise CheckpointError(f"no tokenizer.json or spm.model in {places}: copy the checkpoint's tokenizer there")


def open_tokenizers(folder: Path, origin: str, config: Mapping[str, Any]) -> TransformersTokenizers:
    """Open the tokenizers of a checkpoint with transformers.

    Args:
        folder: The folder that has the tokenizer.
        origin: As `find_folder` returned it.
        config: config.json of the model, which names the tokenizer's class if tokenizer_config.json does not.

    Raises:
        CheckpointError: transformers cannot open it, it needs code of its own, or it has no fast version.
    """
    settings = {name: read_json(folder / name) for name in _SETTINGS if (folder / name).is_file()}
    has_json = origin == TOKENIZER_NAME
    with tempfile.TemporaryDirectory(prefix="assay-tokenizer-") as name:
        view = Path(name)
        _link(folder, view)
        tokenizer_config = _to_transformers_4(settings.get("tokenizer_config.json", {}))
        tokenizer_config["tokenizer_class"] = _choose_class(tokenizer_config, config, origin)
        (view / "tokenizer_config.json").write_text(json.dumps(tokenizer_config), encoding="utf-8")
        about_model = {key: config[key] for key in ("model_type", "transformers_version") if config.get(key)}
        (view / _CONFIG_NAME).write_text(json.dumps(about_model), encoding="utf-8")
        if has_json:
            problem = f"{folder}: AutoTokenizer of transformers cannot open the tokenizer"
        else:
            problem = f"{folder / origin} cannot be converted to tokenizer.json"
        fast = _open(view, problem, use_fast=True)
        if not getattr(fast, "is_fast", False):
            raise CheckpointError(
                f"{folder}: {type(fast).__name__} has no fast version in transformers, and the runtime reads a fast "
                "tokenizer only; save the checkpoint with a tokenizer.json"
            )
        slow = None
        if _has_slow_files(fast, folder):
            slow = _open(view, f"{folder}: the slow tokenizer beside {origin} cannot be opened", use_fast=False)
    if slow is not None and not has_json:
        _refuse_sampling(folder, slow)
        fast._tokenizer = _correct(fast.backend_tokenizer, slow)
    return TransformersTokenizers(folder, origin, fast, slow)


def _link(folder: Path, view: Path) -> None:
    """Link the files of `folder` into `view`, except those that are rewritten there."""
    for path in folder.iterdir():
        if path.is_file() and path.name not in (_CONFIG_NAME, "tokenizer_config.json"):
            (view / path.name).symlink_to(path.resolve())


def _to_transformers_4(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return tokenizer_config.json with what transformers 4.57 cannot read in the form that it can.

    transformers 5 writes additional special tokens as the list `extra_special_tokens`, which is an object in 4.
    """
    result = dict(found)
    extra = result.get("extra_special_tokens")
    if isinstance(extra, list):
        del result["extra_special_tokens"]
        result["additional_special_tokens"] = [*(result.get("additional_special_tokens") or []), *extra]
    for key, value in result.items():
        if key.endswith("_token") and isinstance(value, dict) and "content" in value:
            result[key] = value | {"__type": "AddedToken"}
    return result


def _choose_class(found: Mapping[str, Any], config: Mapping[str, Any], origin: str) -> str | None:
    """Return the class that AutoTokenizer takes; None leaves it to the model_type.

    The classes of transformers 5 (TokenizersBackend) do not exist in 4.57, where PreTrainedTokenizerFast also takes
    tokenizer.json as it is.
    """
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

    named = found.get("tokenizer_class") or config.get("tokenizer_class")
    if named and not isinstance(named, str):
        raise CheckpointError(
            f"tokenizer_class = {named!r:.80} in tokenizer_config.json or config.json, expected the name of a class"
        )
    if isinstance(named, str):
        is_known = tokenizer_class_from_name(named) or tokenizer_class_from_name(f"{named}Fast")
        if is_known or found.get("auto_map") or origin != TOKENIZER_NAME:
            return named
        return _FAST
    if config.get("model_type") in TOKENIZER_MAPPING_NAMES:
        return None
    return _SPM_CLASS if origin == "spm.model" else _FAST


def _open(view: Path, problem: str, *, use_fast: bool) -> Any:
    import transformers

    try:
        with silence_transformers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = transformers.AutoTokenizer.from_pretrained(
                view, use_fast=use_fast, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # transformers and tokenizers raise every kind, bare Exception included
        reason = " ".join(str(error).replace(str(view), "the folder").split())[:300]
        raise CheckpointError(f"{problem}: {reason or type(error).__name__}") from error
    if not opened:  # transformers returns False for a SentencePiece model that does not parse
        raise CheckpointError(f"{problem}: the file does not parse")
    return opened


def _has_slow_files(fast: Any, folder: Path) -> bool:
    slow_class = type(fast).slow_tokenizer_class
    names = {} if slow_class is None else slow_class.vocab_files_names
    files = [file for key, file in names.items() if key != "tokenizer_file"]
    return bool(files) and all((folder / file).is_file() for file in files)


def _refuse_sampling(folder: Path, slow: Any) -> None:
    options = getattr(slow, "sp_model_kwargs", None) or {}
    if options.get("enable_sampling"):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'}: sp_model_kwargs = {options!r} draws another tokenization of a text "
            "at each call: remove enable_sampling"
        )


def _correct(converted: Tokenizer, slow: Any) -> Tokenizer:
    """Return transformers' conversion of a slow tokenizer with what it leaves out.

    SentencePiece drops every space, and spells characters without a piece in bytes. The slow tokenizer finds added
    tokens in the text before normalization, though a lower-case one also in lower-cased text. `split_by_punct`
    separates punctuation before normalization too: "…" is one mark, although it is normalized to three.
    """
    if type(slow).__name__ not in _DROPS_SPACES:
        return converted
    splits = getattr(slow, "split_by_punct", False)
    lowers = bool(slow.do_lower_case) and not splits
    document = json.loads(converted.to_str())
    for token in document["added_tokens"]:
        token["normalized"] = lowers and token["content"] == token["content"].lower()
    document["model"]["byte_fallback"] = converted.token_to_id("<0x00>") is not None
    result = Tokenizer.from_str(json.dumps(document))
    spaces = pre_tokenizers.Split(Regex("[ \u2581]+"), "removed")
    result.pre_tokenizer = pre_tokenizers.Sequence([spaces, pre_tokenizers.Metaspace(prepend_scheme="always")])
    if splits:
        isolate = [normalizers.Replace(mark, f" {mark} ") for mark in _list_punctuation()]
        result.normalizer = normalizers.Sequence([*isolate, result.normalizer])
    return result


def _list_punctuation() -> list[str]:
    """List what transformers' slow tokenizers count as punctuation: P in Unicode, and all ASCII signs."""
    signs = {chr(code) for code in range(33, 127) if not chr(code).isalnum()}
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return [mark for mark in characters if mark in signs or unicodedata.category(mark).startswith("P")]
