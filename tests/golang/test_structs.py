"""What Go puts into a struct, and its complaints; whole programs of Go are compared with in
tests/etcdctl/test_odd_types.py and test_half_members.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golang.json_text import BadJson
from golang.structs import BOOL, TEXT, List, Pointer, Struct, WrongType, unmarshal

INNER = Struct("client.Inner", {"name": TEXT, "list": List(TEXT)})
OUTER = Struct(
    "struct { Outer }",
    {"inner": INNER, "pointer": Pointer(INNER), "inners": List(INNER), "flag": BOOL},
)
EMPTY_INNER = {"name": "", "list": None}
EMPTY = {"inner": EMPTY_INNER, "pointer": None, "inners": None, "flag": False}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("null", {}),
        ("{}", {}),
        ('{"FLAG":true,"flag":null}', {"flag": True}),
        ('{"other":[{"flag":5}]}', {}),
        ('{"inners":[]}', {"inners": []}),
        ('{"inners":[null,{"NAME":"a"}]}', {"inners": [EMPTY_INNER, {"name": "a", "list": None}]}),
        ('{"pointer":{}}', {"pointer": EMPTY_INNER}),
        ('{"pointer":{},"pointer":null}', {}),
        ('{"inner":{"name":"a"},"Inner":{"list":["x"]}}', {"inner": {"name": "a", "list": ["x"]}}),
        (
            '{"inner":{"list":["a","b"],"list":["c"],"list":[null,null]}}',
            {"inner": {"name": "", "list": ["c", "b"]}},
        ),
        ('{"inner":{"list":["a"],"list":[],"list":[null]}}', {"inner": {"name": "", "list": [""]}}),
        ('{"inner":{"li\\u017ft":["a"],"list":null}}', {"inner": EMPTY_INNER}),
    ],
)
def test_it_is_filled(text: str, filled: dict[str, Any]) -> None:
    """Goal: each field has what Go's would have. Method: a table (Go 1.19, encoding/json)."""
    assert unmarshal(text.encode(), OUTER) == EMPTY | filled


@pytest.mark.parametrize(
    ("text", "told", "filled"),
    [
        ("[]", "array into Go value of type struct { Outer }", {}),
        ('{"flag":"true"}', "string into Go struct field .flag of type bool", {}),
        (
            '{"inner":{"name":5},"flag":true}',
            "number into Go struct field Inner.inner.name of type string",
            {"flag": True},
        ),
        (
            '{"inners":[{"list":["a",{}]},7]}',
            "object into Go struct field Inner.inners.list of type string",
            {"inners": [{"name": "", "list": ["a", ""]}, EMPTY_INNER]},
        ),
        (
            '{"pointer":false}',
            "bool into Go struct field .pointer of type client.Inner",
            {"pointer": EMPTY_INNER},
        ),
        ('{"flag":[],"inner":5}', "array into Go struct field .flag of type bool", {}),
        ('{"inner":5,"flag":[]}', "number into Go struct field .inner of type client.Inner", {}),
    ],
)
def test_the_first_that_does_not_fit_is_told(text: str, told: str, filled: dict[str, Any]) -> None:
    """Goal: Go's words, and what fits is there. Method: a table."""
    with pytest.raises(WrongType) as raised:
        unmarshal(text.encode(), OUTER)
    assert str(raised.value) == f"json: cannot unmarshal {told}"
    assert raised.value.filled == EMPTY | filled


def test_what_is_no_json_fills_nothing() -> None:
    """Goal: a text is looked at whole before anything is filled. Method: one that ends early."""
    with pytest.raises(BadJson, match="unexpected end of JSON input"):
        unmarshal(b'{"flag":true', OUTER)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "List", "inner", "INNERS", "pointer"]), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_the_shape_holds(value: object) -> None:
    """Goal: whatever is said, fields have their types, and are all there. Method: any values."""

    def check(found: Any, shape: Any) -> None:
        match shape:
            case Struct():
                assert found.keys() == shape.fields.keys()
                for name, field in shape.fields.items():
                    check(found[name], field)
            case List():
                for item in found or ():
                    check(item, shape.item)
            case Pointer():
                assert found is None or check(found, shape.to) is None
            case _:
                assert type(found) is type(shape.empty)

    try:
        check(unmarshal(json.dumps(value).encode(), OUTER), OUTER)
    except WrongType as wrong:
        check(wrong.filled, OUTER)
