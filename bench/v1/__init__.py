"""The gateway at /v1 with everything on, against a bare pass-through and the model server itself, in one run."""

from bench.v1.rounds import measure

__all__ = ["measure"]
