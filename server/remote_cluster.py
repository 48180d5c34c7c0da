"""A cluster as one of its members describes it on its peer port: /members and /version.

Laws:

* What is read is bounded, typed, and believed only as far as the start needs it. A member that does
  not answer, or not as it should, is passed over with one warning, in etcd's words.
* All are asked at once, and the first good answer wins: a host that is down costs no time. (etcd
  asks one after the other.)
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from server.options.urls import BadUrl, parse_url

ANSWER_BYTES_MAX = 1 << 20

_logger = logging.getLogger("etcdserver")


@dataclass(frozen=True, slots=True)
class RemoteMember:
    """One member, as the others know it."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]

    def __str__(self) -> str:
        peer_urls, client_urls = " ".join(self.peer_urls), " ".join(self.client_urls)
        return (
            f"&{{ID:{self.id:x} RaftAttributes:{{PeerURLs:[{peer_urls}] IsLearner:false}}"
            f" Attributes:{{Name:{self.name} ClientURLs:[{client_urls}]}}}}"
        )


@dataclass(frozen=True, slots=True)
class RemoteCluster:
    """A cluster and its members, sorted by id."""

    id: int
    members: tuple[RemoteMember, ...]

    def __str__(self) -> str:
        members = " ".join(map(str, self.members))
        return f"{{ClusterID:{self.id:x} Members:[{members}] RemovedMemberIDs:[]}}"


class _MemberRow(msgspec.Struct):
    """A row of /members; nothing else in it matters."""

    id: int
    peer_urls: tuple[str, ...] | None = msgspec.field(name="peerURLs", default=())
    name: str = ""
    client_urls: tuple[str, ...] | None = msgspec.field(name="clientURLs", default=())


class _Versions(msgspec.Struct):
    cluster: str = msgspec.field(name="etcdcluster", default="")


async def fetch_cluster(
    urls: Sequence[str], timeout_s: float, *, level: int = logging.WARNING
) -> RemoteCluster | None:
    """Ask the members at these peer URLs who their cluster is; None if none of them knows.

    `level` is that of the lines about those who don't answer.
    """
    asked = [asyncio.ensure_future(_cluster_at(url, timeout_s, level)) for url in urls]
    try:
        for answer in asyncio.as_completed(asked):
            if (cluster := await answer) is not None:
                return cluster
        return None
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def fetch_cluster_version(urls: Iterable[str], timeout_s: float) -> str | None:
    """Ask one member, at any of its peer URLs, for its cluster's version; None without an answer.

    A member whose cluster has not agreed on one yet says "not_decided".
    """
    for url in urls:
        try:
            body, _cluster_id = await _get(url, "/version", timeout_s)
            return msgspec.json.decode(body, type=_Versions).cluster
        except _FAILURES as error:
            _logger.warning("failed to get the version of %s: %s", url, _reason(error))
    return None


async def _cluster_at(url: str, timeout_s: float, level: int) -> RemoteCluster | None:
    try:
        body, cluster_id = await _get(url, "/members", timeout_s)
        rows = msgspec.json.decode(body, type=list[_MemberRow])
        number = int(cluster_id, 16)
    except _FAILURES as error:
        _logger.log(level, "could not get cluster response from %s: %s", url, _reason(error))
        return None
    members = [
        RemoteMember(row.id, row.name, row.peer_urls or (), row.client_urls or ()) for row in rows
    ]
    members.sort(key=lambda member: member.id)
    return RemoteCluster(number, tuple(members)) if members else None


_FAILURES = (aiohttp.ClientError, OSError, ValueError, msgspec.MsgspecError)
"""What asking can come to; a time-out is an OSError."""


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno).lower()
    return str(error) or type(error).__name__


async def _get(url: str, path: str, timeout_s: float) -> tuple[bytes, str]:
    """Fetch a path of a peer port: the body and the cluster's id; raises one of _FAILURES."""
    at = parse_url(url)
    if at.is_tls:
        raise BadUrl("TLS is not supported by this version of this server")
    connector = aiohttp.UnixConnector(at.authority) if at.is_unix else aiohttp.TCPConnector()
    base = "http://localhost" if at.is_unix else f"http://{at.authority}"
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(base + path, allow_redirects=False, raise_for_status=True) as answer,
    ):
        body = bytearray()
        async for part in answer.content.iter_chunked(64 << 10):
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        return bytes(body), answer.headers.get("X-Etcd-Cluster-Id", "")
