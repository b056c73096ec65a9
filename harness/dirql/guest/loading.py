# SPDX-License-Identifier: Apache-2.0
"""Why the guest's loader refused something: what it left in LdrProblem goes into the error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dirql.errors import GuestRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.guest.memory import GuestMemory

_LIMIT = 4096  # LDR_PROBLEM_BYTES


@contextmanager
def reasons_told(memory: GuestMemory) -> Iterator[None]:
    """Add the loader's reasons to the error of a request that is made inside.

    Args:
        memory: the guest's.

    Raises:
        GuestRequestError: the request's own, with a line for each reason.
    """
    try:
        yield
    except GuestRequestError as error:
        reasons = memory.string(memory.kernel.address("LdrProblem"), _LIMIT)
        if reasons:
            error.message = "\n".join([f"{error.message}:", *(f"  {line}" for line in reasons.splitlines())])
        raise
