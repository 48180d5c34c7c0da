"""The register of members: what is counted, what is remembered."""

from kvstore import Machine, Member, cluster_version, is_removed, register
from kvstore import commands as c
from tests.kvstore.driving import drive

ONE, TWO, THREE = 0x25D6CE33763C5524, 0x6AE27F9FA2984B1D, 0xFF32F4B39B9C47BD


def member(number: int, name: str = "", *, client_url: str = "") -> Member:
    """A member as the register shows it."""
    return Member(number, name, (f"http://h{number:x}:1",), (client_url,) if client_url else ())


def added(*numbers: int) -> list[c.Command]:
    return [c.AddMember(number, (f"http://h{number:x}:1",)) for number in numbers]


def test_a_fresh_cluster_of_n_is_at_index_2n_plus_1() -> None:
    """Goal: contract/keys.md section 8. Method: what three members commit while they start."""
    machine = Machine()
    published: list[c.Command] = [
        c.PublishMember(number, f"m{number:x}", ("http://c:1",)) for number in (ONE, TWO, THREE)
    ]
    drive(machine, [(1, added(ONE, TWO, THREE)), (1, [*published, c.SetClusterVersion("3.4.0")])])
    assert machine.store.index == 7
    assert [m.id for m in register(machine.store.tree)] == [ONE, TWO, THREE]
    assert cluster_version(machine.store.tree) == "3.4.0"


def test_the_version_is_set_once() -> None:
    """Goal: a version that is set twice, by two leaders in a row, counts once. Method: the same
    twice, then another."""
    machine = Machine()
    same = [c.SetClusterVersion("3.4.0")]
    drive(machine, [(1, [*same, *same])])
    assert machine.store.index == 1
    drive(machine, [(1, [c.SetClusterVersion("3.5.0"), *same])])
    assert machine.store.index == 3


def test_each_change_counts_as_etcd_counts_it() -> None:
    """Goal: +1, +1, +2, and a restart's publish +1 (contract/cluster.md section 3). Method: one
    change at a time; the register after each."""
    machine = Machine()
    tree = machine.store.tree
    drive(machine, [(1, added(ONE, TWO))])
    (reply,), _now = drive(machine, [(1, added(THREE))])
    assert (reply.ok, reply.index, machine.store.index) == (True, 3, 3)
    assert register(tree)[2] == member(THREE)
    drive(machine, [(1, [c.UpdateMember(THREE, ("http://z:2", "http://a:1"))])])
    assert machine.store.index == 4
    assert register(tree)[2].peer_urls == ("http://a:1", "http://z:2")
    drive(machine, [(1, [c.PublishMember(THREE, "m", ("http://c:1",))])])
    assert machine.store.index == 5
    (reply,), _now = drive(machine, [(1, [c.RemoveMember(THREE)])])
    assert (reply.ok, reply.index, machine.store.index) == (True, 7, 7)
    assert register(tree) == [member(ONE), member(TWO)]
    assert [event.action for event in list(machine.store.history.events)[-2:]] == [
        b"delete",
        b"create",
    ]


def test_a_removed_id_is_remembered_and_cannot_publish_itself_back() -> None:
    """Goal: an id never comes back, not by a publish that was under way and not after a snapshot.
    Method: remove, publish late, save and adopt."""
    machine = Machine()
    drive(machine, [(1, [*added(ONE, TWO), c.RemoveMember(TWO)])])
    assert not is_removed(machine.store.tree, ONE)
    assert is_removed(machine.store.tree, TWO)
    index = machine.store.index
    drive(machine, [(1, [c.PublishMember(TWO, "late", ("http://c:1",))])])
    assert machine.store.index == index
    assert register(machine.store.tree) == [member(ONE)]
    again = Machine()
    again.adopt(Machine.thaw(machine.freeze()))
    assert is_removed(again.store.tree, TWO)
    assert register(again.store.tree) == [member(ONE)]


def test_what_etcd_keeps_where() -> None:
    """Goal: paths and JSON of the hidden subtree are etcd's (contract/keys.md section 8). Method:
    look at the nodes."""
    machine = Machine()
    drive(machine, [(1, [*added(ONE, TWO), c.RemoveMember(TWO)])])
    drive(machine, [(1, [c.PublishMember(ONE, "m1", ("http://c:1",))])])
    nodes = machine.store.tree.nodes
    assert nodes[b"0/members/25d6ce33763c5524/raftAttributes"].value == (
        b'{"peerURLs":["http://h25d6ce33763c5524:1"]}'
    )
    assert nodes[b"0/members/25d6ce33763c5524/attributes"].value == (
        b'{"name":"m1","clientURLs":["http://c:1"]}'
    )
    removed = nodes[b"0/removed_members/6ae27f9fa2984b1d"]
    assert (removed.value, removed.children) == (b"", None)
    assert b"0/members/6ae27f9fa2984b1d" not in nodes
