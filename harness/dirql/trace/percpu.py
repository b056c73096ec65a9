# SPDX-License-Identifier: Apache-2.0
"""The records of one CPU: that they are its own and in order, how many are missing, when each was made."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dirql.errors import ProtocolError

if TYPE_CHECKING:
    from dirql.trace.schema import Indices, Records, Words

_CHUNK = 8192
"""Records looked at together: 256 KiB, so that what is made of them stays in the processor's second cache."""
_RAMP = np.arange(_CHUNK, dtype=np.uint64)


def count_gaps(cpu: int, records: Records, before: int | None) -> int:
    """Check that records are a CPU's own and in the order of their sequence numbers; count those that are missing.

    Args:
        cpu: whose they should be.
        records: what its ring held.
        before: the sequence number before the first, modulo 2**32; None: any will do.

    Returns:
        How many are missing before and between them.

    Raises:
        ProtocolError: a record is another CPU's, or the sequence numbers run backwards.
    """
    if not len(records):
        return 0
    missing = 0 if _consecutive(cpu, records) else _between(cpu, records)
    return missing if before is None else missing + ((int(records["Sequence"][0]) - before - 1) & 0xFFFF_FFFF)


def monotone(time: Words) -> Indices:
    """Lower each time stamp to the earliest that follows it."""
    signed = time.astype(np.int64)
    if len(signed) > 1 and (signed[1:] < signed[:-1]).any():
        return np.minimum.accumulate(signed[::-1])[::-1]
    return signed


def _consecutive(cpu: int, records: Records) -> bool:
    """Tell whether all is as it mostly is: the CPU's own, each sequence number one more than the one before.

    Sequence number and CPU lie in one word of the record: minus the number of the record that word is then the same in
    all. False also where that cannot be told so fast.
    """
    place = _word(records.dtype)
    if place is None or not records.flags.c_contiguous:
        return False
    column, keep, shift, size = place
    words = records.view("<u8").reshape(-1, size)[:, column]
    first = int(words[0]) & keep
    if first >> shift & 0xFF != cpu:
        return False
    mask = np.uint64(keep)
    for begin in range(0, len(words), _CHUNK):
        chunk = words[begin : begin + _CHUNK] & mask
        chunk -= _RAMP[: len(chunk)]
        if chunk.min() != first + begin or chunk.max() != first + begin:
            return False
    return True


@lru_cache(maxsize=8)
def _word(dtype: np.dtype[np.void]) -> tuple[int, int, int, int] | None:
    """Return which word holds Sequence, in its low half, and Cpu; its bits of both; Cpu's shift; words in a record."""
    assert dtype.fields is not None
    (sequence_type, sequence), (cpu_type, cpu) = (dtype.fields[name][:2] for name in ("Sequence", "Cpu"))
    fits = sequence % 8 == 0 and sequence // 8 == cpu // 8 and dtype.itemsize % 8 == 0
    if not fits or sequence_type.itemsize != 4 or cpu_type.itemsize != 1:
        return None
    shift = cpu % 8 * 8
    return sequence // 8, 0xFFFF_FFFF | 0xFF << shift, shift, dtype.itemsize // 8


def _between(cpu: int, records: Records) -> int:
    """Count what is missing between records."""
    if (records["Cpu"] != cpu).any():
        other = int(records["Cpu"][records["Cpu"] != cpu][0])
        raise ProtocolError(f"the records of CPU {cpu} hold some of CPU {other}")
    steps = np.diff(records["Sequence"])  # modulo 2**32, as the counter itself
    if len(steps) and (int(steps.min()) == 0 or int(steps.max()) > 1 << 31):
        raise ProtocolError(f"the sequence numbers of CPU {cpu} run backwards")
    return int(steps.sum(dtype=np.int64)) - len(steps)
