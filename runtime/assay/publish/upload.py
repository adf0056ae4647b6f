"""Uploads a bundle to the Hub in one commit, or as a pull request, through huggingface_hub."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.bundle.folder import Bundle
from assay.bundle.manifest import MANIFEST_NAME
from assay.errors import AssayError, BundleError, InputError, one_line
from assay.optional_packages import require
from assay.publish.card import MARK

__all__ = ["CARD", "Uploaded", "check_name", "push"]

CARD = "README.md"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LOG_IN = "log in with a token that may write (hf auth login, or the variable HF_TOKEN)"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The address of the commit or the pull request, how many files it has, and whether the card is among them."""

    url: str
    files: int
    has_card: bool


def check_name(name: str) -> str:
    """Return `name` if it can be a name on the Hub. Raises InputError."""
    if _NAME.fullmatch(name) is None:
        raise InputError(f"{name!r:.100}: is not a name on the Hub, expected organisation/name")
    return name


def push(bundle: Bundle, name: str, card: str, *, create_pr: bool, private: bool, replace_card: bool) -> Uploaded:
    """Upload the files of the manifest, the manifest and the card.

    Files of the folder that the manifest does not list stay here, and files that are on the Hub only stay there.

    Args:
        bundle: The bundle, whose files were checked.
        name: The name on the Hub. Without create_pr it is made where it does not exist.
        card: The model card.
        create_pr: Open a pull request instead of a commit.
        private: Make a new model private.
        replace_card: Replace a card on the Hub that was not written by assay.

    Raises:
        BundleError: The Hub refuses it, or cannot be reached.
        InstallationError: huggingface_hub is missing.
    """
    hub = require("huggingface_hub", "'assay[hub]'", "assay push")
    api = hub.HfApi(library_name="assay")
    try:
        if not create_pr:
            api.create_repo(name, exist_ok=True, private=private or None)
        has_card = replace_card or not _has_own_card(hub, api, name)
        paths = [*bundle.manifest.files, MANIFEST_NAME]
        operations = [hub.CommitOperationAdd(path, str(bundle.folder / path)) for path in paths]
        if has_card:
            operations.append(hub.CommitOperationAdd(CARD, card.encode("utf-8")))
        done = api.create_commit(
            name,
            operations,
            commit_message=f"Upload the Assay bundle {bundle.manifest.name}",
            create_pr=create_pr,
        )
    except AssayError:
        raise
    except Exception as error:  # what transports raise has no common base: see assay.bundle.hub_errors
        raise _explain(error, name) from error
    return Uploaded(str(done.pr_url or done.commit_url), len(operations), has_card)


def _has_own_card(hub: Any, api: Any, name: str) -> bool:
    """Return whether the model on the Hub has a card that somebody else wrote."""
    if not api.file_exists(name, CARD):
        return False
    return MARK not in Path(hub.hf_hub_download(name, CARD)).read_text(encoding="utf-8", errors="replace")


def _explain(error: Exception, name: str) -> BundleError:
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    said = one_line(error, 300)
    if status == 401:
        return BundleError(f"{name}: the Hub does not know these credentials; {_LOG_IN}")
    if status == 403:
        return BundleError(f"{name}: these credentials may not write it on the Hub ({said}); {_LOG_IN}, or --create-pr")
    if status == 404:
        return BundleError(
            f"{name}: the Hub has no model of this name that these credentials may see; check the name, {_LOG_IN}, "
            "or make it first by pushing without --create-pr"
        )
    return BundleError(f"{name}: could not be uploaded ({said}); check the network and HF_ENDPOINT, and run it again")
