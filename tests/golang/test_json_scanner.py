"""Go's JSON scanner against a decoder: what one takes, the other takes."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from golang.json_scanner import DEPTH_MAX, Complaint, scan

TEXTS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)


def is_json(text: str) -> bool:
    """What Python's decoder says."""

    def no_constant(name: str) -> Any:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=no_constant)
    except ValueError:
        return False
    return True


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(
    text=TEXTS, at=st.floats(0, 1), cut=st.integers(0, 3), put=st.text('{}[]:,"\\ue.-+10tn\x01é')
)
@example(text="[1]", at=0.0, cut=0, put="")
def test_it_takes_what_a_decoder_takes(text: str, at: float, cut: int, put: str) -> None:
    """Goal: nothing that is JSON is complained of, all else is. Method: JSON texts of any value,
    with something taken out and put in."""
    place = int(at * len(text))
    changed = text[:place] + put + text[place + cut :]
    assert (scan(changed.encode()) is None) == is_json(changed)


def test_depth() -> None:
    """Goal: Go's limit. Method: as deep as it goes, and one more."""
    assert scan(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX) is None
    assert scan(b"[" * (DEPTH_MAX + 1)) == Complaint(
        "invalid character '[' exceeded max depth", DEPTH_MAX
    )
