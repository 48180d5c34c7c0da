"""Random commands and batches, drawn so that they meet: few keys, few values, few TTLs."""

from hypothesis import strategies as st

from kvstore import commands as c

KEYS = st.sampled_from(
    [
        b"/a",
        b"/b",
        b"/a/x",
        b"/a/y",
        b"/a/x/1",
        b"/_h",
        b"/a/_h",
        b"/d",
        b"/d/e/f",
        b"/\xff<&>",
        b"/",
    ]
)
VALUES = st.sampled_from([b"", b"1", b"2", b"\x00\n\xff", b'<"&'])
TTLS = st.sampled_from([None, None, None, 0, 1, 5, 8_000_000_000])
INDEXES = st.integers(0, 12)

COMMANDS = st.one_of(
    st.builds(c.Set, KEYS, VALUES, st.booleans(), TTLS, st.booleans()),
    st.builds(c.Create, KEYS, VALUES, st.booleans(), TTLS),
    st.builds(c.CreateInOrder, KEYS, VALUES, st.booleans(), TTLS),
    st.builds(c.Update, KEYS, VALUES, TTLS, st.booleans()),
    st.builds(c.CompareAndSwap, KEYS, VALUES, VALUES, INDEXES, TTLS, st.booleans()),
    st.builds(c.Delete, KEYS, st.booleans(), st.booleans()),
    st.builds(c.CompareAndDelete, KEYS, VALUES, INDEXES),
    st.just(c.Sync()),
    st.builds(c.AddMember, st.integers(1, 3), st.just(("http://a:1",))),
    st.builds(c.UpdateMember, st.integers(1, 3), st.just(("http://a:3",))),
    st.builds(c.RemoveMember, st.integers(1, 3)),
    st.builds(c.PublishMember, st.integers(1, 3), st.just("m"), st.just(("http://a:2",))),
    st.just(c.SetClusterVersion("3.4.0")),
)

# (how far cluster time and the wall clock move before the batch, in ms; its commands)
BATCHES = st.lists(
    st.tuples(st.integers(0, 3000), st.lists(COMMANDS, max_size=5)),
    max_size=12,
)
