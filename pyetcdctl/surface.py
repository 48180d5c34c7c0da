"""What can be asked of a cluster, once for both clients.

Laws: each method looks at its arguments, makes one request and hands it to `keys` or `plain`;
whether that waits or gives something to await is the client's affair, and so are `ResultT` and its
siblings.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pyetcdctl import answers, arguments, requests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOCK_TTL_S: Final = 10
"""How long others wait for the holder of a lock who died, unless told otherwise."""

ResultT = TypeVar("ResultT")
MemberT = TypeVar("MemberT")
MembersT = TypeVar("MembersT")
NothingT = TypeVar("NothingT")


class Surface(Generic[ResultT, MemberT, MembersT, NothingT]):
    """Keys, directories and members, and how long to wait for them."""

    _timeout_s: float | None
    _total_timeout_s: float | None

    def limit(self, *, timeout_s: float | None, total_timeout_s: float | None) -> None:
        """From now on, be so patient; a long poll is not meant, it has no limit."""
        arguments.seconds("timeout_s", timeout_s)
        arguments.seconds("total_timeout_s", total_timeout_s)
        self._timeout_s, self._total_timeout_s = timeout_s, total_timeout_s

    @abstractmethod
    def keys(self, request: requests.Request) -> ResultT:
        """Make a request about keys; EtcdError if the server says no."""

    @abstractmethod
    def plain(self, request: requests.Request, read: Callable[[bytes], Any]) -> Any:
        """Make a request about members, users or roles and read its answer; Refused if the server
        says no.
        """

    # -- keys ---------------------------------------------------------------------------------

    def get(
        self, key: str, *, recursive: bool = False, sorted: bool = False, quorum: bool = False
    ) -> ResultT:
        """Read a key, or a directory with its children, or (`recursive`) all that is below it.

        `quorum`: as a majority knows it, not just the member that is asked.
        """
        arguments.text("key", key)
        return self.keys(requests.get(key, recursive=recursive, sort=sorted, quorum=quorum))

    def set(
        self,
        key: str,
        value: str,
        *,
        ttl: int | None = None,
        prev_value: str | None = None,
        prev_index: int | None = None,
        prev_exist: bool | None = None,
    ) -> ResultT:
        """Write a key, to live for `ttl` s. With conditions: only if they hold (CompareFailed,
        NodeExists, KeyNotFound, and OutcomeUnknown if the answer was lost).
        """
        arguments.text("key", key)
        arguments.text("value", value)
        arguments.ttl(ttl)
        arguments.condition(prev_value, prev_index)
        request = requests.put(
            key,
            value,
            ttl=ttl,
            prev_value=prev_value,
            prev_index=prev_index,
            prev_exist=prev_exist,
        )
        is_conditional = bool(prev_value or prev_index or prev_exist is not None)
        return self.keys(requests.once(request) if is_conditional else request)

    def refresh(self, key: str, ttl: int, *, prev_value: str | None = None) -> ResultT:
        """Let a key live for `ttl` s more; its value stays and no watcher is woken."""
        arguments.text("key", key)
        arguments.ttl(ttl)
        arguments.condition(prev_value, None)
        return self.keys(
            requests.put(key, None, ttl=ttl, prev_value=prev_value, prev_exist=True, refresh=True)
        )

    def create_in_order(self, directory: str, value: str, *, ttl: int | None = None) -> ResultT:
        """Create a key in a directory, named so that later ones sort behind it.

        It goes round the endpoints: if an answer is lost there may be two.
        """
        arguments.text("directory", directory)
        arguments.text("value", value)
        arguments.ttl(ttl)
        return self.keys(requests.post(directory, value, ttl=ttl))

    def make_dir(
        self, key: str, *, ttl: int | None = None, prev_exist: bool | None = False
    ) -> ResultT:
        """Create a directory (`prev_exist=False`), update one (True), or put an empty one in the
        place of a key (None).
        """
        arguments.text("key", key)
        arguments.ttl(ttl)
        request = requests.put(key, None, ttl=ttl, prev_exist=prev_exist, directory=True)
        return self.keys(request if prev_exist is None else requests.once(request))

    def delete(
        self,
        key: str,
        *,
        dir: bool = False,
        recursive: bool = False,
        prev_value: str | None = None,
        prev_index: int | None = None,
    ) -> ResultT:
        """Remove a key; with `dir` an empty directory, with `recursive` whatever is there."""
        arguments.text("key", key)
        arguments.condition(prev_value, prev_index)
        request = requests.delete(
            key, directory=dir, recursive=recursive, prev_value=prev_value, prev_index=prev_index
        )
        return self.keys(requests.once(request))

    def wait(self, key: str, *, wait_index: int = 0, recursive: bool = False) -> ResultT:
        """Wait for one event at `wait_index` or later (0: from now on), for ever.

        Raises EventIndexCleared if the events from there on are not kept any more, and EmptyAnswer
        (a BadAnswer) when the member stops: `watch` asks the others again.
        """
        arguments.text("key", key)
        arguments.index("wait_index", wait_index)
        return self.keys(requests.wait(key, recursive=recursive, wait_index=wait_index))

    # -- members ------------------------------------------------------------------------------

    def members(self) -> MembersT:
        """The members of the cluster, in the server's order."""
        return self.plain(requests.members(), answers.members)  # type: ignore[no-any-return]

    def leader(self) -> MemberT:
        """The member that leads."""
        return self.plain(requests.leader(), answers.member)  # type: ignore[no-any-return]

    def add_member(self, peer_urls: Sequence[str]) -> MemberT:
        """Add a member that is to be started now; its id is in the answer."""
        arguments.texts("peer_urls", peer_urls)
        return self.plain(requests.add_member(peer_urls), answers.member)  # type: ignore[no-any-return]

    def remove_member(self, member_id: str) -> NothingT:
        """Remove a member; one that is removed already is no error."""
        arguments.text("member_id", member_id)
        return self.plain(requests.remove_member(member_id), _nothing)  # type: ignore[no-any-return]

    def update_member(self, member_id: str, peer_urls: Sequence[str]) -> NothingT:
        """Give a member other peer URLs."""
        arguments.text("member_id", member_id)
        arguments.texts("peer_urls", peer_urls)
        request = requests.update_member(member_id, peer_urls)
        return self.plain(request, _nothing)  # type: ignore[no-any-return]


def _nothing(_body: bytes) -> None:
    return None
