"""The weight files of a checkpoint: those that transformers and peft load, and which tensors they contain."""

from pathlib import Path

from safetensors import safe_open

from assay_export.checkpoint.reading import read_json, refuse_bad_files, refuse_pointer
from assay_export.errors import CheckpointError

__all__ = ["find_weights", "read_shapes", "read_tensor_names"]

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_FLOATS = ("F64", "F32", "F16", "BF16")
_FORMATS = ("pt", "mlx")  # of which transformers reads the tensors as they are


def find_weights(folder: Path, stem: str) -> tuple[Path, ...]:
    """Return the safetensors files that are loaded from a folder: STEM.safetensors, else the shards of its index.

    Other files are never loaded, whatever their names: a fp16 copy, or shards beside STEM.safetensors.

    Raises:
        CheckpointError: There are none, or only pickled weights, or a shard or the index of the shards is missing.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.exists() or single.is_symlink():
        files = [single]
    elif index.is_file():
        files = _list_shards(index)
    else:
        raise _explain_absence(folder, stem)
    for file in files:
        if not file.is_file():
            raise CheckpointError(f"{file} is not a file here: download or copy the checkpoint again")
        with refuse_bad_files(file), file.open("rb") as stream:
            refuse_pointer(file, stream.read(64))
        if stem == "model":  # peft does not read the format of an adapter
            _check_format(file)
    if files != [single]:
        _check_index(index, tuple(files))
    return tuple(files)


def read_tensor_names(files: tuple[Path, ...]) -> set[str]:
    """Return the names of all tensors in safetensors files."""
    return set(read_shapes(files))


def read_shapes(files: tuple[Path, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors in safetensors files, by name.

    Raises:
        CheckpointError: A file is damaged, or a weight is no floating-point number of at least 16 bits: without its
            scales, which the model has no place for, it is another number.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        with refuse_bad_files(file), safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is not a mapping)
                tensor = tensors.get_slice(name)
                if name.endswith((".weight", ".bias")) and tensor.get_dtype() not in _FLOATS:
                    raise CheckpointError(
                        f"{file}: {name} has the type {tensor.get_dtype()}, expected one of {', '.join(_FLOATS)}: the "
                        "checkpoint is quantised; export the original weights"
                    )
                shapes[name] = tuple(tensor.get_shape())
    return shapes


def _check_format(file: Path) -> None:
    """Refuse weights of another library than PyTorch. Without any metadata, transformers takes them for PyTorch's."""
    with refuse_bad_files(file), safe_open(file, framework="pt") as tensors:
        metadata = tensors.metadata()
    if metadata is not None and metadata.get("format") not in _FORMATS:
        raise CheckpointError(
            f"{file}: the format in its metadata is {metadata.get('format')!r:.80}, expected one of "
            f"{', '.join(_FORMATS)}; save the model again with save_pretrained of PyTorch"
        )


def _list_shards(index: Path) -> list[Path]:
    """Return the files that an index names.

    Raises:
        CheckpointError: It names none, something else than files beside it, or one that is missing.
    """
    places = read_json(index).get("weight_map")
    values = list(places.values()) if isinstance(places, dict) else []
    if not values or not all(isinstance(name, str) and name == Path(name).name for name in values):
        raise CheckpointError(f"{index}: weight_map does not name the file of each tensor: copy the checkpoint again")
    names = sorted(set(values))
    missing = [name for name in names if not (index.parent / name).exists()]
    if missing:
        raise CheckpointError(
            f"{index} names {len(names)} files of weights, and {len(missing)} of them are missing ({missing[0]}): "
            "download or copy the checkpoint again"
        )
    return [index.parent / name for name in names]


def _check_index(index: Path, files: tuple[Path, ...]) -> None:
    """Refuse an index that transformers cannot load from, for reasons that it does not say."""
    content = read_json(index)
    if not isinstance(content.get("metadata"), dict):
        raise CheckpointError(
            f"{index}: metadata = {content.get('metadata')!r:.80}, expected an object, which transformers needs: copy "
            "the checkpoint again"
        )
    names = content["weight_map"].keys()
    present = read_tensor_names(files)
    for wrong, problem in (
        (names - present, "is in the index, but in none of the files that it names"),
        (present - names, "is in a file, but not in the index"),
    ):
        if wrong:
            raise CheckpointError(
                f"{index}: {min(wrong)!r:.120} {problem} ({len(wrong)} of {len(names | present)} tensors): copy the "
                "checkpoint again"
            )


def _explain_absence(folder: Path, stem: str) -> CheckpointError:
    shards = sorted(path.name for path in folder.glob(f"{stem}-*.safetensors"))
    if shards:
        return CheckpointError(
            f"{folder} contains {shards[0]}, but no {stem}.safetensors.index.json, which says what is in each of these "
            "files: copy it from the checkpoint"
        )
    pickled = sorted(
        path.name for pattern in _PICKLED for path in folder.glob(pattern) if path.name != "training_args.bin"
    )
    if pickled:
        return CheckpointError(
            f"{folder}: the weights are pickled ({pickled[0]}), and reading a pickle can run code; on a machine where "
            "you trust them, save them again with model.save_pretrained(FOLDER, safe_serialization=True)"
        )
    steps = sorted(path.name for path in folder.glob("checkpoint-*") if path.is_dir())
    hint = f"; it contains {', '.join(steps[:3])}: export one of these folders" if steps else ""
    return CheckpointError(f"{folder} contains no {stem}.safetensors: it is not a checkpoint with weights{hint}")
