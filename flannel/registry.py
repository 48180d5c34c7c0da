"""The leases in the store: one directory, one key per subnet, as AsyncClient sees them.

Laws: reading never fails for what others wrote: a key that is no subnet is skipped and said once,
a lease that cannot be read, or is a directory, counts as taken; a create or an overwrite that
lost a race is `Faster`, whatever else happens is the client's error. Reads ask a quorum, as
flanneld's do.
"""

import logging
from dataclasses import dataclass
from ipaddress import IPv4Network

from flannel.config import ConfigError
from flannel.lease import TTL_S, Attributes, Lease, LeaseError, name_of, parse_attributes, subnet_of
from pyetcdctl import (
    AsyncClient,
    BadAnswer,
    CompareFailed,
    EtcdError,
    KeyNotFound,
    Node,
    NodeExists,
    Result,
)

REMOVALS = frozenset({"delete", "expire", "compareAndDelete"})
PASSING_CODES_FROM = 300
"""300 and 301 are raft's errors, 400 and 401 watches'; lower ones are the store saying no."""
TTL_MAX_S = 1 << 31
"""Nobody waits for longer."""
SAID_MAX, SAID_LENGTH = 1000, 200
"""Foreign keys remembered, by how they begin, so that each is said once."""

_log = logging.getLogger(__name__)


class Faster(Exception):
    """Somebody else wrote the key first."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All leases at an index of the store."""

    leases: tuple[Lease, ...]
    unreadable: frozenset[IPv4Network]
    """Subnets whose value is no lease, or that are directories."""
    index: int


@dataclass(frozen=True, slots=True)
class Put:
    """A lease was written."""

    lease: Lease
    index: int


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A lease's value was made unreadable."""

    subnet: IPv4Network
    index: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A lease was deleted or has expired."""

    subnet: IPv4Network
    index: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something that concerns no lease."""

    index: int


@dataclass(frozen=True, slots=True)
class Uprooted:
    """The whole directory went: look again."""

    index: int


Event = Put | Spoilt | Gone | Foreign | Uprooted


class Registry:
    """What is below a prefix."""

    def __init__(self, client: AsyncClient, prefix: str) -> None:
        self._client = client
        self._prefix = "/" + prefix.strip("/")
        self._directory = f"{self._prefix.rstrip('/')}/subnets"
        self._said: set[str] = set()

    async def config(self) -> str:
        """The network config's text; raises ConfigError if there is a directory in its place."""
        key = f"{self._prefix.rstrip('/')}/config"
        result = await self._client.get(key, quorum=True)
        if result.node.dir:
            raise ConfigError(f"{key} is a directory, but has to be a key with the config as JSON")
        return result.node.value

    async def listing(self) -> Listing:
        """All leases."""
        try:
            result = await self._client.get(self._directory, recursive=True, quorum=True)
        except KeyNotFound as error:
            return Listing((), frozenset(), error.index)
        if not result.index:
            # Taken for one, it would be that of a store that was set back.
            raise BadAnswer("the answer has no X-Etcd-Index (is a proxy in between?)")
        leases: list[Lease] = []
        unreadable: set[IPv4Network] = set()
        for node in result.node.nodes or ():
            subnet = self._subnet(node)
            if subnet is None:
                continue
            lease = self._lease(subnet, node)
            if lease:
                leases.append(lease)
            else:
                unreadable.add(subnet)
        return Listing(tuple(leases), frozenset(unreadable), result.index)

    async def create(
        self, subnet: IPv4Network, attributes: Attributes, *, is_reservation: bool = False
    ) -> Lease:
        """Lease a subnet nobody has; raises Faster."""
        ttl = None if is_reservation else TTL_S
        try:
            result = await self._client.set(
                self._key(subnet), attributes.to_json(), ttl=ttl, prev_exist=False
            )
        except NodeExists:
            raise Faster from None
        return _written(subnet, attributes, result)

    async def overwrite(self, seen: Lease, attributes: Attributes) -> Lease:
        """Make a lease ours, if it is still as it was seen; a reservation stays one."""
        ttl = None if seen.is_reservation else TTL_S
        try:
            result = await self._client.set(
                self._key(seen.subnet), attributes.to_json(), ttl=ttl, prev_index=seen.index
            )
        except (CompareFailed, KeyNotFound):
            raise Faster from None
        return _written(seen.subnet, attributes, result)

    async def replace(self, lease: Lease) -> Lease:
        """Write our lease in the place of whatever is there; a reservation stays one."""
        value = lease.attributes.to_json()
        ttl = None if lease.is_reservation else TTL_S
        result = await self._client.set(self._key(lease.subnet), value, ttl=ttl)
        return _written(lease.subnet, lease.attributes, result)

    async def remove(self, seen: Lease) -> None:
        """Delete a lease, if it is still as it was seen."""
        try:
            await self._client.delete(self._key(seen.subnet), prev_index=seen.index)
        except (CompareFailed, KeyNotFound):
            raise Faster from None

    async def event(self, after: int) -> Event:
        """The first event behind that index; waits for it."""
        result = await self._client.wait(self._directory, wait_index=after + 1, recursive=True)
        return self.read(result)

    def read(self, result: Result) -> Event:
        """What an event means."""
        node, removed = result.node, result.action in REMOVALS
        index = node.modified_index
        if removed and f"{self._directory}/".startswith(f"{node.key.rstrip('/')}/"):
            return Uprooted(index)
        subnet = self._subnet(node)
        if subnet is None:
            return Foreign(index)
        if removed:
            return Gone(subnet, index)
        lease = self._lease(subnet, node)
        return Put(lease, index) if lease else Spoilt(subnet, index)

    def _key(self, subnet: IPv4Network) -> str:
        return f"{self._directory}/{name_of(subnet)}"

    def _subnet(self, node: Node) -> IPv4Network | None:
        name = node.key.removeprefix(f"{self._directory}/")
        subnet = subnet_of(name)
        if subnet is None and node.key.rstrip("/") != self._directory:
            self._say_once(node.key, "it is no subnet's name")
        return subnet

    def _lease(self, subnet: IPv4Network, node: Node) -> Lease | None:
        if node.dir:
            self._say_once(node.key, "it is a directory, and has to be a key with a lease")
            return None
        try:
            attributes = parse_attributes(node.value)
        except LeaseError as error:
            self._say_once(node.key, str(error))
            return None
        return Lease(subnet, attributes, _ttl_s(node), node.modified_index)

    def _say_once(self, key: str, why: str) -> None:
        known_as = key[:SAID_LENGTH]
        if known_as not in self._said and len(self._said) < SAID_MAX:
            self._said.add(known_as)
            _log.warning("Ignoring bad subnet node: %s: %s", key, why)


def _written(subnet: IPv4Network, attributes: Attributes, result: Result) -> Lease:
    return Lease(subnet, attributes, _ttl_s(result.node), result.node.modified_index)


def _ttl_s(node: Node) -> int:
    """Seconds left; 0 if it never ends."""
    return min(max(node.ttl, 1), TTL_MAX_S) if node.expiration else 0


def is_passing(error: Exception) -> bool:
    """Whether an error may go away by itself: the store is away, not saying no."""
    return not isinstance(error, EtcdError) or error.code >= PASSING_CODES_FROM
