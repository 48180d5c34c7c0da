"""How a member without data begins: as a founder of a new cluster, or joining one that exists.

Laws: checks, their order and their words are etcd 3.4's (contract/cluster.md sections 3 and 4). A
founder computes what every other founder computes; who joins has its ids from the members that are
there. Nothing is written here. A member with data never comes this way.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvstore.commands import AddMember, encode
from raft import BIRTH_BITS, Identity, Peer
from raft import Bootstrap as FirstEntry
from server import url_sets
from server.identity import Bootstrap, BootstrapError, Member, bootstrap, candidacy, hex_id
from server.options.config import Config
from server.options.urls import BadUrl, parse_urls
from server.remote_cluster import RemoteCluster, fetch_cluster, fetch_cluster_version
from server.url_sets import Resolve
from server.version import CLUSTER_VERSION

# etcd's: how long a founder waits for others to say that they know it, and a joiner for anything.
FOUNDER_TIMEOUT_S = 1.0
JOINER_TIMEOUT_S = 10.0

_REMEDY = "give it back the data directory it had, or remove it from the cluster and add it anew"

CLUSTER_VERSION_MIN = (3, 0, 0)

_logger = logging.getLogger("etcdserver")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Who the member is, and the first entry of its log unless it joins."""

    identity: Identity
    first: FirstEntry | None


async def begin(config: Config, resolve: Resolve) -> Beginning:
    """Find out who this member is; raises BootstrapError. `resolve` may block."""
    if config.initial_cluster_state == "existing":
        return await _join(config, resolve)
    return await _found(config, resolve)


async def _found(config: Config, resolve: Resolve) -> Beginning:
    cluster = await asyncio.to_thread(bootstrap, config, resolve)
    others = _other_urls(cluster)
    if others:
        known = await fetch_cluster(others, FOUNDER_TIMEOUT_S, level=logging.DEBUG)
        if known is not None and _has_started(known, cluster.local.id):
            _logger.error("this member was started before, and its data is not here: %s", _REMEDY)
            raise BootstrapError(f"member {hex_id(cluster.local.id)} has already been bootstrapped")
    peers = tuple(Peer(member.id, member.peer_urls) for member in cluster.members)
    commands = [encode(AddMember(peer.id, peer.urls)) for peer in peers]
    identity = Identity(cluster.cluster_id, cluster.local.id, _birth())
    return Beginning(identity, FirstEntry(peers, commands))


async def _join(config: Config, resolve: Resolve) -> Beginning:
    candidate = candidacy(config)
    existing = await fetch_cluster(_other_urls(candidate), JOINER_TIMEOUT_S)
    if existing is None:
        raise BootstrapError(
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from"
            " the given URLs"
        )
    members = await asyncio.to_thread(matched, candidate.members, existing, resolve)
    local = next(member for member in members if member.name == candidate.local.name)
    if _has_started(existing, local.id):
        # DEVIATES: etcd starts it, and it may vote although it has forgotten what it acknowledged.
        raise BootstrapError(
            f"member {hex_id(local.id)} has already been bootstrapped, and its data is not here:"
            f" {_REMEDY}"
        )
    others = [member for member in members if member.id != local.id]
    versions = await asyncio.gather(
        *(fetch_cluster_version(member.peer_urls, JOINER_TIMEOUT_S) for member in others)
    )
    if not is_compatible(versions):
        raise BootstrapError("incompatible with current running cluster")
    return Beginning(Identity(existing.id, local.id, _birth()), None)


def _birth() -> int:
    """Draw the number that tells the log to be begun from any other one."""
    return secrets.randbits(BIRTH_BITS) or 1


def _other_urls(cluster: Bootstrap) -> list[str]:
    return sorted(
        url for member in cluster.members if member != cluster.local for url in member.peer_urls
    )


def _has_started(cluster: RemoteCluster, member_id: int) -> bool:
    return any(member.id == member_id and member.client_urls for member in cluster.members)


def matched(
    members: Sequence[Member], existing: RemoteCluster, resolve: Resolve
) -> tuple[Member, ...]:
    """The members of the options under their true ids; raises BootstrapError.

    `members` are sorted by id.
    """
    found = list(members)
    if len(found) != len(existing.members):
        raise BootstrapError(f"error validating peerURLs {existing}: member count is unequal")
    for member in existing.members:
        difference: str | None = None
        for position, candidate in enumerate(found):
            difference = _difference(member.peer_urls, candidate.peer_urls, resolve)
            if difference is None:
                found[position] = replace(candidate, id=member.id)
                break
        else:
            urls = " ".join(member.peer_urls)
            raise BootstrapError(
                f"error validating peerURLs {existing}: PeerURLs: no match found for existing"
                f" member ({hex_id(member.id)}, [{urls}]), last resolver error ({difference})"
            )
    return tuple(found)


def _difference(left: Sequence[str], right: Sequence[str], resolve: Resolve) -> str | None:
    try:
        return url_sets.difference(parse_urls(left), parse_urls(right), resolve)
    except BadUrl as error:
        return str(error)


def is_compatible(versions: Sequence[str | None]) -> bool:
    """Whether this server can join a cluster whose other members tell these cluster versions.

    None is that of a member that did not answer; one that knows is enough.
    """
    known = False
    for text in versions:
        version = _parsed(text or "")
        if version is None:
            continue
        if not CLUSTER_VERSION_MIN <= version <= (_parsed(CLUSTER_VERSION) or version):
            _logger.warning(
                "the running cluster version %s is not between %s and %s",
                text,
                ".".join(map(str, CLUSTER_VERSION_MIN)),
                CLUSTER_VERSION,
            )
            return False
        known = True
    return known


def _parsed(version: str) -> tuple[int, ...] | None:
    """`3.4.0` as numbers; None for what is no version."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return tuple(map(int, parts))
