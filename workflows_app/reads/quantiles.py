"""Quantiles from counts in logarithmic buckets: see ``workflow_statistics_bucket`` in sql/workflow_statistics.sql.

Bucket *i* holds the durations in (GAMMA^(i-1), GAMMA^i] milliseconds. Its middle, 2·GAMMA^i / (GAMMA + 1), is within
5 % of each of them (DDSketch, Masson, Rim and Lee, VLDB 2019); bucket 0 holds all up to one millisecond.
"""

from collections.abc import Mapping

ERROR = 0.05
GAMMA = (1 + ERROR) / (1 - ERROR)
# The bucket of what has no duration: a run that was never begun, a step that was skipped.
WITHOUT = -1


def quantile(buckets: Mapping[int, int], share: float) -> int | None:
    """Return the duration (ms) that ``share`` (0 to 1) of those counted do not exceed; None where there are none.

    It is that of the item at rank ``share * (n - 1)``, rounded down; at most 5 % (and half a millisecond) off.
    """
    counted = {bucket: count for bucket, count in buckets.items() if bucket != WITHOUT and count > 0}
    rank, seen = int(share * (sum(counted.values()) - 1)), 0
    for bucket in sorted(counted):
        seen += counted[bucket]
        if seen > rank:
            return round(2 * GAMMA**bucket / (GAMMA + 1)) if bucket else 1
    return None
