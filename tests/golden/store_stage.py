"""The store alone as a stage: commands in, replies out, with a clock that the script moves."""

from collections import deque
from urllib.parse import unquote_to_bytes

from kvstore import EtcdError, Event, Reply, Store, commands
from tests.golden.script import Command
from tests.golden.stages import END, shown

NS_PER_S = 1_000_000_000
BETWEEN_COMMANDS_NS = 1_000_000
WALL_NS = 1_700_000_000 * NS_PER_S
EXPIRY_STEPS_MAX = 100
MEMBER_ID = 1
Fields = dict[bytes, bytes]


class StoreStage:
    """A store as a fresh single member has it, at index 3."""

    def __init__(self) -> None:
        self._store = Store()
        self._polls: dict[str, deque[Event]] = {}
        self._once: dict[str, bool] = {}
        self._store.now_ns, self._store.wall_ns = 0, WALL_NS
        for command in (
            commands.AddMember(MEMBER_ID, ("http://127.0.0.1:2380",)),
            commands.PublishMember(MEMBER_ID, "default", ("http://127.0.0.1:2379",)),
            commands.SetClusterVersion("3.4.0"),
        ):
            self._store.apply(command)

    def close(self) -> None:
        """Nothing is open but memory."""

    def play(self, command: Command) -> str:
        """Applies the command, or takes an event a watcher was given."""
        match command.verb:
            case "watch":
                return self._watch(command)
            case "event":
                return self._event(command.name)
            case "expired":
                return self._expired(command)
        for _ in range(command.times):
            reply = self._ask(command)
        return _result(reply)

    def _ask(self, command: Command) -> Reply:
        self._pass(BETWEEN_COMMANDS_NS)
        key, fields = _split(command.target, command.body)
        if command.verb == "GET":
            return self._store.get(
                key,
                self._store.now_ns,
                recursive=_true(fields, b"recursive"),
                in_order=_true(fields, b"sorted"),
            )
        return self._store.apply(_write(command.verb, key, fields))

    def _pass(self, elapsed_ns: int) -> None:
        self._store.now_ns += elapsed_ns
        self._store.wall_ns += elapsed_ns

    def _watch(self, command: Command) -> str:
        key, fields = _split(command.target, "")
        heard: deque[Event] = deque()
        stream = _true(fields, b"stream")
        index = self._store.index
        try:
            self._store.watch(
                key,
                heard.append,
                since=int(fields.get(b"waitIndex", b"0")),
                recursive=_true(fields, b"recursive"),
                stream=stream,
            )
        except EtcdError as error:
            return shown(error.http_status, error.index, error.body())
        self._polls[command.name], self._once[command.name] = heard, not stream
        return shown(200, index, b"")

    def _event(self, name: str) -> str:
        heard = self._polls[name]
        if heard:
            return heard.popleft().body.decode().rstrip("\n")
        # A one-shot watch is over after its event; asking earlier than that is the script's fault.
        return END if self._once[name] else "(Late)"

    def _expired(self, command: Command) -> str:
        get = Command("GET", command.target)
        for _ in range(EXPIRY_STEPS_MAX):
            reply = self._ask(get)
            if reply.status != 200:
                break
            self._pass(NS_PER_S // 2)
            self._store.apply(commands.Sync())
        return _result(reply)


def _result(reply: Reply) -> str:
    return shown(reply.status, reply.index, reply.body)


def _split(target: str, body: str) -> tuple[bytes, Fields]:
    path, _, query = target.partition("?")
    key = unquote_to_bytes(path).rstrip(b"/") or b"/"
    fields: Fields = {}
    for pair in [*body.split("&"), *query.split("&")]:
        name, _, value = pair.partition("=")
        fields.setdefault(name.encode(), unquote_to_bytes(value.replace("+", " ")))
    return key, fields


def _true(fields: Fields, name: bytes) -> bool:
    return fields.get(name) == b"true"


def _write(method: str, key: bytes, fields: Fields) -> commands.Command:
    value = fields.get(b"value", b"")
    ttl = int(fields[b"ttl"]) if fields.get(b"ttl") else None
    is_dir = _true(fields, b"dir")
    prev_value = fields.get(b"prevValue", b"")
    prev_index = int(fields.get(b"prevIndex", b"0"))
    if method == "POST":
        return commands.CreateInOrder(key, value, is_dir, ttl)
    if method == "DELETE":
        if prev_value or prev_index:
            return commands.CompareAndDelete(key, prev_value, prev_index)
        return commands.Delete(key, is_dir, _true(fields, b"recursive"))
    refresh = _true(fields, b"refresh")
    if fields.get(b"prevExist") == b"false":
        return commands.Create(key, value, is_dir, ttl)
    if prev_value or prev_index:
        return commands.CompareAndSwap(key, value, prev_value, prev_index, ttl, refresh)
    if _true(fields, b"prevExist"):
        return commands.Update(key, value, ttl, refresh)
    return commands.Set(key, value, is_dir, ttl, refresh)
