import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_app.contracts import TokenBuckets
from gateway_app.services.tokens import estimate, estimate_input, input_bound, usage_buckets


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("绿茶", 2),
        ("绿茶 tea", 3),
        ("чай", 2),
        ("日本語。", 4),
        ("𠀀", 1),
    ],
)
def test_estimate_counts_by_script(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


@given(st.text(max_size=300), st.sampled_from(["system", "user"]))
def test_bound_is_never_below_the_estimate(text: str, role: str) -> None:
    messages = [{"role": role, "content": text}]
    assert input_bound(messages, {}) >= max(estimate_input(messages), len(text.encode()))


def test_bound_counts_tools_and_frames() -> None:
    message = {"role": "user", "content": "hi"}
    one = input_bound([message], {})
    assert input_bound([message, message], {}) > one + 8
    assert input_bound([message], {"tools": ["x" * 100]}) > one + 100


def test_content_in_parts_is_counted() -> None:
    parts = [{"type": "text", "text": "abcd"}, {"type": "text", "text": "绿茶"}]
    assert estimate_input([{"role": "user", "content": parts}]) == 4 + 3


@pytest.mark.parametrize(
    ("usage", "buckets"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 4}, TokenBuckets(input=10, output=4)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            TokenBuckets(input=1, cached_input=6, cache_write=3, output=4, reasoning=5),
        ),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}, TokenBuckets(input=6, cached_input=4)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}}, TokenBuckets(cached_input=5)),
        ({"prompt_tokens": -1, "completion_tokens": None, "prompt_tokens_details": None}, TokenBuckets()),
        ({"prompt_tokens": True, "completion_tokens": "7"}, TokenBuckets()),
    ],
)
def test_usage_is_mapped_to_disjoint_buckets(usage: dict[str, object], buckets: TokenBuckets) -> None:
    assert usage_buckets(usage) == buckets


@given(*[st.integers(0, 1000)] * 5)
def test_buckets_sum_to_what_was_reported(
    prompt: int, completion: int, cached: int, written: int, thought: int
) -> None:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    buckets = usage_buckets(usage)
    assert (buckets.input_total, buckets.output_total) == (prompt, completion)
