"""Who this member is: ids, the initial cluster, and etcd's checks of both at bootstrap.

Laws: ids are etcd's, bit for bit (SHA-1 of peer URLs and token; of the sorted member ids), so a
cluster keeps its ids whichever server runs it. Pure: host names are resolved by a function handed
in. A member with data has its identity from there and never asks this module.
"""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from golang.quoting import go_quote
from server import url_sets
from server.options.config import Config
from server.options.urls import BadUrl, Url, parse_urls
from server.url_sets import Resolve

ID_BYTES = 8


class BootstrapError(Exception):
    """The member cannot be started with these options; the message is etcd's critical line."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the initial cluster."""

    id: int
    name: str
    peer_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A new cluster as every one of its members computes it."""

    cluster_id: int
    local: Member
    members: tuple[Member, ...]
    """Sorted by id."""


def member_id(urls: Iterable[str], token: str, *, now_s: int | None = None) -> int:
    """The id of a member: at bootstrap by the token, at run time by "" and the Unix time."""
    text = "".join(sorted(urls)) + token + ("" if now_s is None else str(now_s))
    return int.from_bytes(hashlib.sha1(text.encode()).digest()[:ID_BYTES], "big")


def cluster_id(member_ids: Iterable[int]) -> int:
    """The id of a cluster that starts with these members."""
    text = b"".join(number.to_bytes(ID_BYTES, "big") for number in sorted(member_ids))
    return int.from_bytes(hashlib.sha1(text).digest()[:ID_BYTES], "big")


def hex_id(number: int) -> str:
    """The text form of an id: hexadecimal without leading zeros."""
    return f"{number:x}"


def parse_initial_cluster(text: str) -> dict[str, tuple[Url, ...]]:
    """`name=url,name=url`, where a name may repeat, as names to sorted URLs; raises BadUrl."""
    texts: dict[str, list[str]] = {}
    for part in text.split(","):
        if part:
            name, _, url = part.partition("=")
            texts.setdefault(name, []).append(url)
    return {name: parse_urls(urls) for name, urls in texts.items()}


def bootstrap(config: Config, resolve: Resolve) -> Bootstrap:
    """The new cluster of these options; raises BootstrapError."""
    cluster = _initial_cluster(config)
    _check_advertised(config, cluster[config.name], resolve)
    _check_unique(cluster)
    return _bootstrap(config, cluster)


def candidacy(config: Config) -> Bootstrap:
    """The cluster to join, as these options describe it; raises BootstrapError.

    Its ids are what they would be in a new cluster: the true ones have to be asked for.
    """
    cluster = _initial_cluster(config)
    _check_unique(cluster)
    return _bootstrap(config, cluster)


def _initial_cluster(config: Config) -> dict[str, tuple[Url, ...]]:
    try:
        cluster = parse_initial_cluster(config.initial_cluster)
    except BadUrl as error:
        raise BootstrapError(f"error setting up initial cluster: {error}") from error
    if config.name not in cluster:
        name = go_quote(config.name)
        raise BootstrapError(
            f"couldn't find local name {name} in the initial cluster configuration"
        )
    return cluster


def _bootstrap(config: Config, cluster: dict[str, tuple[Url, ...]]) -> Bootstrap:
    members = [_member(name, urls, config) for name, urls in cluster.items()]
    members.sort(key=lambda member: member.id)
    _check_ids(members)
    local = next(member for member in members if member.name == config.name)
    return Bootstrap(cluster_id(member.id for member in members), local, tuple(members))


def _member(name: str, urls: tuple[Url, ...], config: Config) -> Member:
    found = tuple(url_sets.texts(urls))
    return Member(member_id(found, config.initial_cluster_token), name, found)


def _check_unique(cluster: dict[str, tuple[Url, ...]]) -> None:
    listed = [url.text for urls in cluster.values() for url in urls]
    if len(set(listed)) < len(listed):
        raise BootstrapError(f"initial cluster {_cluster_text(cluster)} has duplicate url")


def _check_ids(members: list[Member]) -> None:
    for member, following in itertools.pairwise(members):
        if member.id == following.id:
            raise BootstrapError(f"member exists with identical ID {hex_id(member.id)}")
    if any(member.id == 0 for member in members):
        raise BootstrapError("cannot use 0 as member id")


def _cluster_text(cluster: dict[str, tuple[Url, ...]]) -> str:
    return ",".join(sorted(f"{name}={url.text}" for name, urls in cluster.items() for url in urls))


def _check_advertised(config: Config, listed: tuple[Url, ...], resolve: Resolve) -> None:
    """The URLs this member advertises are those the initial cluster has for it."""
    name, advertised = config.name, config.initial_advertise_peer_urls
    difference = url_sets.difference(advertised, listed, resolve)
    if difference is None:
        return
    advertised_texts, listed_texts = url_sets.texts(advertised), url_sets.texts(listed)
    shown = ",".join(advertised_texts)
    if missing := sorted(set(listed_texts) - set(advertised_texts)):
        pairs = ",".join(f"{name}={text}" for text in missing)
        raise BootstrapError(
            f"--initial-cluster has {pairs} but missing from"
            f" --initial-advertise-peer-urls={shown} ({difference})"
        )
    pairs = _cluster_text({name: advertised})  # etcd shows the advertised URLs as the cluster, too
    if missing := sorted(set(advertised_texts) - set(listed_texts)):
        raise BootstrapError(
            f"--initial-advertise-peer-urls has {','.join(missing)} but missing from"
            f" --initial-cluster={pairs}"
        )
    raise BootstrapError(
        f"failed to resolve {shown} to match --initial-cluster={pairs} ({difference})"
    )
