"""Turn the exceptions of huggingface_hub into one line that says what to do.

These exceptions have no common base: huggingface_hub's own (huggingface_hub.errors), those of its HTTP library
(requests up to 0.36, httpx from 1.0), those of hf_xet (RuntimeError), and OSErrors of the disk. Callers therefore
catch Exception, and only around a call of huggingface_hub.
"""

import errno
from typing import Any

from assay.bundle.manifest import MANIFEST_NAME
from assay.errors import AssayError, BundleError, InputError, one_line

__all__ = ["explain", "is_broken_off", "is_no_part", "is_unreachable"]

_LOG_IN = "log in (hf auth login, or the variable HF_TOKEN)"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_unreachable(error: Exception) -> bool:
    """Return whether the Hub did not answer, or answered that it is unavailable (HTTP 429 and 5xx)."""
    status = _read_status(error)
    if status is not None:
        return status == 429 or status >= 500
    return not isinstance(error, ValueError) and not _is_disk_error(error)


def is_broken_off(error: Exception) -> bool:
    """Return whether another try may succeed: the download broke off, or the cached part is not of this file.

    False if the first request for a file had no answer: huggingface_hub has already repeated that request.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):
        return False
    return is_unreachable(error) or is_no_part(error)


def is_no_part(error: Exception) -> bool:
    """Return whether the cached part of a file is longer than the file (HTTP 416)."""
    return _read_status(error) == 416


def explain(error: Exception, name: str, revision: str, file: str) -> AssayError:
    """Return the error to raise for an exception of huggingface_hub.

    Args:
        error: The exception.
        name: The model.
        revision: The branch, tag or commit.
        file: The file that was requested. Empty if only the commit of the revision was requested.
    """
    from huggingface_hub import constants, errors

    error = _find_cause(error)
    at = f"{name} at revision {revision}"
    if isinstance(error, errors.HFValidationError):
        return InputError(f"{name}: no such folder here, and not a valid name on the Hub ({one_line(error, 200)})")
    if isinstance(error, errors.GatedRepoError):
        return BundleError(
            f"{name}: access on the Hub is restricted, and these credentials do not have it; ask for access on its "
            f"page there, then {_LOG_IN}"
        )
    status, said = _read_status(error), one_line(error, 300)
    # Without a login, the Hub answers 401 for private and for absent models alike.
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return BundleError(
            f"{name}: no such folder here, and the Hub has no model of this name that these credentials may see; check "
            f"the path or the name, and for a private model {_LOG_IN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return BundleError(
            f"{name}: has no revision {revision} on the Hub; check the branch, tag or commit on its page there"
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        if file == MANIFEST_NAME:
            return BundleError(
                f"{at}: has no {MANIFEST_NAME} on the Hub, so it is not a bundle; if it is a checkpoint, make a bundle "
                f"of it with: assay export {name} --out DIR"
            )
        return BundleError(
            f"{at}: {file}, which its {MANIFEST_NAME} lists, is not on the Hub; ask for another revision, or upload "
            "the whole bundle again"
        )
    if status == 403:
        return BundleError(
            f"{name}: these credentials may not read it on the Hub ({said}); ask its owner, or {_LOG_IN}"
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        return BundleError(
            f"{at}: no space left for {file} in the Hub's cache {constants.HF_HUB_CACHE}; free some, or name another "
            "folder in the variable HF_HOME"
        )
    if status is None and _is_disk_error(error):
        return BundleError(
            f"{at}: the Hub's cache {constants.HF_HUB_CACHE} cannot be written ({one_line(error, 300)}); make it "
            "writable, or name another folder in the variable HF_HOME"
        )
    if status is None and isinstance(error, ValueError):  # not a URL, or the answer is not JSON
        return BundleError(
            f"{name}: no such folder here, and {constants.ENDPOINT} is not the Hub ({said}); check the "
            "path, HF_ENDPOINT and the proxy"
        )
    if not file and is_unreachable(error):
        return BundleError(
            f"{name}: no such folder here, and the Hub cannot be reached ({said}); check the path, the network and "
            "HF_ENDPOINT"
        )
    return BundleError(
        f"{at}: {file or 'the model'} could not be downloaded ({said}); check the network and run it again: files "
        "that have arrived are kept"
    )


def _find_cause(error: Exception) -> Exception:
    """Return the cause of a LocalEntryNotFoundError (the first request for a file failed), else `error` itself."""
    from huggingface_hub import errors

    cause = error.__cause__
    return cause if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(cause, Exception) else error


def _read_status(error: Exception) -> int | None:
    """Return the HTTP status of an error response. None if there was no response."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _is_disk_error(error: Exception) -> bool:
    """Return whether the cache could not be written: such an OSError names a file, one of a connection does not."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL)
