"""The store: what each command does to the tree, the index, the history and the watchers.

Laws:

* `apply` is deterministic: equal stores that apply equal commands at equal stamps stay equal.
* A successful write raises the index by exactly one and makes exactly one event; a failed one
  changes nothing but a counter.
* A user's mistake is a reply, never an exception that leaves `apply`.
* Replies are rendered while the command is applied: the store may have moved on when they are sent.

Source: contract/keys.md sections 5, 6, 8 and 9, and etcd 3.4's behaviour where they are silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from kvstore import members
from kvstore.commands import (
    AddMember,
    Command,
    CompareAndDelete,
    CompareAndSwap,
    Create,
    CreateInOrder,
    Delete,
    PublishMember,
    RemoveMember,
    Set,
    SetClusterVersion,
    Sync,
    Update,
    UpdateMember,
)
from kvstore.errors import (
    DIR_NOT_EMPTY,
    NODE_EXIST,
    NOT_FILE,
    ROOT_READ_ONLY,
    TEST_FAILED,
    EtcdError,
)
from kvstore.event import Event
from kvstore.history import History
from kvstore.node import NS_PER_S, Node, removed_json, written_ttl_json
from kvstore.paths import ROOTS, USER_ROOT
from kvstore.stats import Counters
from kvstore.tree import Tree
from kvstore.watch import Watcher, WatcherHub, nobody_to_tell

if TYPE_CHECKING:
    from collections.abc import Callable

# What one Sync removes at the most: more would hold up everyone else. The next one goes on.
EXPIRED_AT_ONCE_MAX: Final = 2000

# An expiration before 2000-01-01 is taken for an overflow: etcd's set and create ignore it.
_PLAUSIBLE_EXPIRATION_NS: Final = 946_684_800 * NS_PER_S


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a command or a read came to: HTTP status, X-Etcd-Index, body, and whether it worked."""

    status: int
    index: int
    body: bytes
    ok: bool = True
    action: bytes = b"get"


def error_reply(error: EtcdError) -> Reply:
    """Render a v2 error."""
    return Reply(error.http_status, error.index, error.body(), ok=False, action=b"")


class Store:
    """The state that the log's commands add up to."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.index = 0
        # The stamp of the batch being applied, or of the last one: cluster time and wall clock.
        self.now_ns = 0
        self.wall_ns = 0
        self.history = History()
        self.watchers = WatcherHub()
        self.stats = Counters()
        self._actions: dict[type, tuple[str, Callable[..., Event]]] = {
            Set: ("sets", self._set),
            Create: ("create", self._create),
            CreateInOrder: ("create", self._create_in_order),
            Update: ("update", self._update),
            CompareAndSwap: ("compare_and_swap", self._compare_and_swap),
            Delete: ("delete", self._delete),
            CompareAndDelete: ("compare_and_delete", self._compare_and_delete),
        }

    # -- reads ------------------------------------------------------------------------------

    def get(self, key: bytes, now_ns: int, *, recursive: bool, in_order: bool) -> Reply:
        """Read a node as it is at cluster time `now_ns`."""
        node = self.tree.nodes.get(key)
        if node is None:
            self.stats.gets_fail += 1
            return error_reply(self.tree.missing(key, self.index))
        self.stats.gets_success += 1
        if node.children is None:
            shown = node.json_at(now_ns)
        else:
            shown = self.tree.listing(node, now_ns, recursive=recursive, in_order=in_order)
        return Reply(200, self.index, b'{"action":"get","node":%b}\n' % shown)

    def watch(
        self,
        key: bytes,
        deliver: Callable[[Event], None],
        *,
        since: int,
        recursive: bool,
        stream: bool,
        lost: Callable[[], None] = nobody_to_tell,
    ) -> Watcher:
        """Have `deliver` called for matching events from index `since` on (0: from now on).

        `lost` is called, and the watcher forgotten, if events it waits for are gone for good. A
        one-shot watch that the history answers is delivered before this returns, and is not
        registered. A stream gets all matching history and then what comes (DEVIATES: etcd's gets
        the first match and then nothing, ever). Raises EtcdError 401.
        """
        since = since or self.index + 1
        watcher = Watcher(self.watchers, key, deliver, since=since, lost=lost)
        watcher.recursive, watcher.stream = recursive, stream
        past = self.history.scan(key, recursive=recursive, since=watcher.since, index=self.index)
        for event in past:
            deliver(event)
            if not stream:
                return watcher
        self.watchers.add(watcher)
        return watcher

    def take_over(self, before: Store) -> None:
        """Take the watchers of the store this one replaces, and tell them what they missed."""
        self.watchers = before.watchers
        missed = [event for event in self.history.events if event.index > before.index]
        self.watchers.jump(before.index, self.index, missed, before.tree.nodes)

    # -- writes -----------------------------------------------------------------------------

    def apply(self, command: Command) -> Reply:
        """Apply one command at the current stamp."""
        row = self._actions.get(type(command))
        if row is None:
            return self._apply_internal(command)
        counter, action = row
        try:
            event = action(command)
        except EtcdError as error:
            self._count(counter + "_fail")
            return error_reply(error)
        self._count(counter + "_success")
        status = 201 if event.created else 200
        return Reply(status, event.index, event.body, True, event.action)

    def _apply_internal(self, command: Command) -> Reply:
        match command:
            case Sync():
                self._expire()
            case AddMember():
                self.apply(members.added(command))
            case UpdateMember():
                self.apply(members.updated(command))
            case RemoveMember():
                for write in members.removed(command):
                    self.apply(write)
            case PublishMember() if not members.is_removed(self.tree, command.id):
                self.apply(members.published(self.tree, command))
            case SetClusterVersion() if command.version != members.cluster_version(self.tree):
                self.apply(members.version_set(command))
        return Reply(200, self.index, b"")

    def _count(self, counter: str) -> None:
        setattr(self.stats, counter, getattr(self.stats, counter) + 1)

    def _set(self, command: Set) -> Event:
        old = self.tree.nodes.get(command.key)
        value = command.value
        if old is not None:
            if old.children is not None:
                raise self._not_a_file(command.key)
            if command.refresh:
                value = old.value
        elif command.refresh:
            raise self.tree.missing(command.key, self.index)
        return self._put_new(b"set", command, value, old, refresh=command.refresh)

    def _create(self, command: Create) -> Event:
        old = self.tree.nodes.get(command.key)
        if old is not None:
            if command.key in ROOTS:
                raise EtcdError(ROOT_READ_ONLY, USER_ROOT, self.index)
            raise EtcdError(NODE_EXIST, command.key, self.index)
        return self._put_new(b"create", command, command.value, None)

    def _create_in_order(self, command: CreateInOrder) -> Event:
        directory = command.key if command.key != USER_ROOT else b""
        key = b"%b/%020d" % (directory, self.index + 1)
        return self._create(Create(key, command.value, command.dir, command.ttl))

    def _put_new(
        self,
        action: bytes,
        command: Set | Create,
        value: bytes,
        old: Node | None,
        *,
        refresh: bool = False,
    ) -> Event:
        """Put a node that begins its life with this index in the place of `old` or of nothing."""
        index = self.index + 1
        if old is None:
            self.tree.make_parents(command.key, index, self.index)
        node = Node(command.key, b"" if command.dir else value, index, index)
        if command.dir:
            node.children = {}
        if command.ttl is not None:
            expiration = self._expiration(command.ttl)
            if expiration >= _PLAUSIBLE_EXPIRATION_NS:
                node.expiration, node.deadline = expiration, self._deadline(expiration)
        prev = self._prev(old) if old is not None else b""
        self.tree.put(node, old)
        return self._record(action, node, self._written(node), prev, refresh=refresh)

    def _update(self, command: Update) -> Event:
        old = self._require_writable(command.key)
        value = command.value
        if old.children is not None and value:
            raise EtcdError(NOT_FILE, command.key, self.index)
        if command.refresh:
            value = old.value
        return self._rewrite(b"update", old, value, command)

    def _compare_and_swap(self, command: CompareAndSwap) -> Event:
        old = self._require_writable(command.key)
        self._compare(old, command.prev_value, command.prev_index)
        value = old.value if command.refresh else command.value
        return self._rewrite(b"compareAndSwap", old, value, command)

    def _rewrite(
        self, action: bytes, old: Node, value: bytes, command: Update | CompareAndSwap
    ) -> Event:
        """Put a node in the place of `old` that keeps its createdIndex."""
        index = self.index + 1
        node = Node(old.key, value, old.created, index, children=old.children)
        if command.ttl is not None:
            # An expiration in the distant past is taken at its word here, unlike in set and
            # create; 0 ns after 1970 is how etcd spells "none".
            node.expiration = self._expiration(command.ttl)
            node.deadline = self._deadline(node.expiration)
        prev, written = self._prev(old), self._written(node)
        if old.children is not None:
            # A directory shows its new modifiedIndex in this one event and keeps the old one.
            node.modified, node._json = old.modified, b""
        self.tree.put(node, old)
        return self._record(action, node, written, prev, refresh=command.refresh)

    def _delete(self, command: Delete) -> Event:
        old = self._require_writable(command.key)
        if old.children is not None:
            if not (command.dir or command.recursive):
                raise EtcdError(NOT_FILE, command.key, self.index)
            if old.children and not command.recursive:
                raise EtcdError(DIR_NOT_EMPTY, command.key, self.index)
        return self._remove(b"delete", old)

    def _compare_and_delete(self, command: CompareAndDelete) -> Event:
        old = self.tree.require(command.key, self.index)
        self._compare(old, command.prev_value, command.prev_index)
        return self._remove(b"compareAndDelete", old)

    def _expire(self) -> None:
        for _ in range(EXPIRED_AT_ONCE_MAX):
            node = self.tree.deadlines.next_due(self.now_ns, self.tree.nodes)
            if node is None:
                break
            self._remove(b"expire", node)
            self.stats.expire_count += 1

    def _remove(self, action: bytes, old: Node) -> Event:
        index = self.index + 1
        event = self._event(
            action,
            old,
            removed_json(old, index),
            self._prev(old),
            removed_dir=old.children is not None,
        )
        if old.children:
            self.watchers.notify_removed(event, self.tree.nodes)
        self.tree.remove(old)
        self._publish(event)
        return event

    # -- the parts of a write ---------------------------------------------------------------

    def _not_a_file(self, key: bytes) -> EtcdError:
        if key in ROOTS:
            return EtcdError(ROOT_READ_ONLY, USER_ROOT, self.index)
        return EtcdError(NOT_FILE, key, self.index)

    def _require_writable(self, key: bytes) -> Node:
        if key in ROOTS:
            raise EtcdError(ROOT_READ_ONLY, USER_ROOT, self.index)
        return self.tree.require(key, self.index)

    def _compare(self, node: Node, prev_value: bytes, prev_index: int) -> None:
        if node.children is not None:
            # etcd strips its namespace off the cause, which leaves nothing of the root.
            raise EtcdError(NOT_FILE, node.key if node.key not in ROOTS else b"", self.index)
        failed = []
        if prev_value and prev_value != node.value:
            failed.append(b"[%b != %b]" % (prev_value, node.value))
        if prev_index and prev_index != node.modified:
            failed.append(b"[%d != %d]" % (prev_index, node.modified))
        if failed:
            raise EtcdError(TEST_FAILED, b" ".join(failed), self.index)

    def _expiration(self, ttl_s: int) -> int:
        """The wall-clock instant a TTL ends, wrapped around as etcd's 64-bit arithmetic does."""
        unix_ns = (self.wall_ns + ttl_s * NS_PER_S) & 0xFFFF_FFFF_FFFF_FFFF
        return unix_ns - (1 << 64) if unix_ns >> 63 else unix_ns

    def _deadline(self, expiration_ns: int) -> int:
        """The same instant in cluster time; 0 for one that lies in the distant past."""
        return max(0, self.now_ns + expiration_ns - self.wall_ns)

    def _prev(self, old: Node) -> bytes:
        return b',"prevNode":' + old.json_at(self.now_ns)

    def _written(self, node: Node) -> bytes:
        json = node.json()
        if not node.expiration:
            return json
        ttl = written_ttl_json(node.expiration, self.wall_ns)
        return json[: node._cut] + ttl + json[node._cut :]

    def _record(
        self, action: bytes, node: Node, shown: bytes, prev: bytes, *, refresh: bool
    ) -> Event:
        event = self._event(action, node, shown, prev, refresh=refresh)
        self._publish(event)
        return event

    def _event(
        self,
        action: bytes,
        node: Node,
        shown: bytes,
        prev: bytes,
        *,
        refresh: bool = False,
        removed_dir: bool = False,
    ) -> Event:
        return Event(
            index=self.index + 1,
            key=node.key,
            action=action,
            body=b'{"action":"%b","node":%b%b}\n' % (action, shown, prev),
            created=action == b"create" or (action == b"set" and not prev),
            removed_dir=removed_dir,
            refresh=refresh,
        )

    def _publish(self, event: Event) -> None:
        self.index = event.index
        self.history.append(event)
        if not event.refresh:
            self.watchers.notify(event)
