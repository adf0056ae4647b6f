"""Compare the weight files with the model that config.json describes: nothing may be missing, no part may be unused."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assay_export.errors import CheckpointError

__all__ = ["list_some", "refuse_mismatched", "refuse_missing", "refuse_unused"]

# Earlier versions of transformers saved these, which are the same in every checkpoint.
_COMPUTED = ("position_ids", "token_type_ids", "inv_freq")


def refuse_mismatched(folder: Path, mismatched: set[str], shapes: Mapping[str, tuple[int, ...]], model: Any) -> None:
    """Refuse weights whose shape is not that of the model.

    Args:
        folder: The folder of the weight files.
        mismatched: The names of the parameters in the model.
        shapes: The shapes of the tensors in the files. transformers renames some tensors, which are not found here.
        model: The model of transformers.

    Raises:
        CheckpointError: There are any.
    """
    if not mismatched:
        return
    name = min(mismatched)
    found = f"the shape {list(shapes[name])}" if name in shapes else "another shape"
    others = f" and {len(mismatched) - 1} more" if len(mismatched) > 1 else ""
    raise CheckpointError(
        f"{folder}: {name} has {found} in the weight files, expected {list(model.state_dict()[name].shape)} by "
        f"config.json{others}; copy the config.json that was saved with these weights"
    )


def refuse_missing(folder: Path, missing: set[str], present: set[str]) -> None:
    """Refuse parameters that are not in the weight files.

    Args:
        folder: The folder of the weight files.
        missing: The names of the parameters.
        present: The names of the tensors in the files.

    Raises:
        CheckpointError: There are any.
    """
    if not missing:
        return
    parameters = "parameter is" if len(missing) == 1 else "parameters are"
    reason = "is this a base model without a fine-tuned head?"
    sample = min(missing)
    prefix = next((name.removesuffix(sample) for name in sorted(present) if name.endswith(f".{sample}")), "")
    if prefix and all(prefix + name in present for name in missing):
        reason = (
            f"the files have them with {prefix!r:.80} before their names, as a wrapper around the model saves them; "
            "save the model that is inside with save_pretrained"
        )
    raise CheckpointError(
        f"{folder}: {len(missing)} {parameters} not in the weight files ({list_some(missing)}) and would be "
        f"random; {reason}"
    )


def refuse_unused(folder: Path, unexpected: Iterable[str], model: Any) -> None:
    """Refuse weights of a part of the model that config.json leaves out, such as the layers after the first two.

    transformers ignores them with a warning, and answers as another model than the one that was trained. The weights of
    another head (`cls`, `lm_head`, a pooler) are no part of this model and are ignored here, too.

    Args:
        folder: The folder of the weight files.
        unexpected: The names of the tensors that the model has no place for, as transformers lists them.
        model: The model of transformers.

    Raises:
        CheckpointError: There are any.
    """
    modules = {name for name, _ in model.named_modules()}
    prefix = model.base_model_prefix
    unused = {name for name in unexpected if not name.endswith(_COMPUTED) and _is_part(name, modules, prefix)}
    if unused:
        weights = "weight that is" if len(unused) == 1 else "weights that are"
        raise CheckpointError(
            f"{folder}: config.json describes a model without {len(unused)} {weights} in the weight files "
            f"({list_some(unused)}), which would be ignored; copy the config.json that was saved with these weights"
        )


def _is_part(name: str, modules: set[str], prefix: str) -> bool:
    """Return whether a tensor belongs into a module that the model has."""
    if prefix not in modules:  # the encoder alone, whose files may be those of a model with a head
        name = name.removeprefix(f"{prefix}.")
    parent = name.rpartition(".")[0]
    while parent not in modules:
        parent = parent.rpartition(".")[0]
    if prefix and parent == prefix:
        return not name.startswith(f"{prefix}.pooler.")
    return parent != ""


def list_some(names: set[str]) -> str:
    """Return the first three names."""
    return ", ".join(f"{name:.120}" for name in sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
