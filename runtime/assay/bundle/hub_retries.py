"""Resume a download from the Hub that broke off. Shared by bundles here and by checkpoints in assay_export."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from assay.bundle import hub_errors
from assay.errors import one_line

__all__ = ["TRIES", "retry"]

T = TypeVar("T")

_LOG = logging.getLogger("assay")

TRIES = 5
"""How often a download is tried. Each try continues with what the one before left in the cache."""


def retry(download: Callable[[bool], T], what: str) -> T:
    """Call `download` until it succeeds, at most TRIES times, with a pause that grows by one second.

    Args:
        download: Called with False, or with True if it must start from the beginning (`force_download`) because the
            part in the cache does not belong to the file.
        what: The download, for the warning that it broke off, for example "acme/judge: the download of assay.json".

    Returns:
        What `download` returns.

    Raises:
        Exception: What the last call of `download` raised. See hub_errors: these errors have no common base.
    """
    force = False
    for tried in range(1, TRIES):
        try:
            return download(force)
        except Exception as error:
            if not hub_errors.is_broken_off(error):
                raise
            _LOG.warning("%s broke off (%s); resuming it", what, one_line(error, 200))
            force = force or hub_errors.is_no_part(error)
        time.sleep(tried - 1)
    return download(force)
