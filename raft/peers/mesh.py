"""Who is connected: the transport of a member, made of one link for each other member.

Laws:

* At most one live link per member. The listener hears `connected` and `disconnected` of it in turn,
  and between them the messages that came on it.
* Whom it was told of (`set_members`) and is not connected with, it dials; who connects is served,
  at most STRANGERS_MAX of whom it was not told.
* Nobody is let in on their word alone: cluster, sender, addressee and protocol must fit, a removed
  member is told so, and `collision` says which of two connections stays. A process whose connection
  that of another one with the same id has replaced is not let in beside it.
* The listener is called on the event loop, never from inside a method of the transport, and not at
  all once `stop` was called. What it raises is logged, reported to the loop, and costs the link.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from raft.births import Births
from raft.messages import encode
from raft.peers import collision, handshake
from raft.peers.collision import Origin
from raft.peers.contact import Contact
from raft.peers.dialer import Dialer
from raft.peers.entrance import Entrance
from raft.peers.handshake import Hello, Refusal, Welcome
from raft.peers.link import Counters, Link, TooLarge
from raft.peers.pace import Pace

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from raft.batch import Peer
    from raft.core import Timing
    from raft.messages import Message
    from raft.records import Identity
    from raft.transport import Listener

STRANGERS_MAX: Final = 16

_logger = logging.getLogger("rafthttp")


class Mesh:
    """A `raft.transport.PeerTransport` over TCP and unix sockets."""

    def __init__(
        self,
        identity: Identity,
        *,
        incarnation: int,
        timing: Timing,
        is_removed: Callable[[int], bool],
        birth_of: Callable[[int], int],
        fallback: Callable[[], asyncio.Protocol] | None = None,
        version: str = "",
        context: ssl.SSLContext | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """`incarnation` is a random number above 0, drawn anew at each start of the process.

        `is_removed` tells whether a member id is gone for good, `birth_of` which birth of a member
        is on record. `fallback` makes the protocol of connections that are no member's
        (404 without it). `version` is shown to other members. `context` is what https URLs are
        dialed with.
        """
        self._identity = identity
        self._incarnation = incarnation
        self._is_removed = is_removed
        self._births = Births(identity, birth_of)
        self._version = version
        self._context = context
        self._pace = Pace.of(timing)
        self._chance = chance or random.Random()
        self._entrance = Entrance(identity, self, fallback)
        self._contacts: dict[int, Contact] = {}
        self._dials = 0
        self._listener: Listener | None = None
        self._is_stopped = False
        self._is_disowned = False
        # What the listener is told soon, in order.
        self._notices: deque[Callable[[Listener], None]] = deque()
        # Tasks and links on their way out.
        self._ending: set[asyncio.Future[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """Return the protocol of a new connection on the peer port."""
        return self._entrance.protocol()

    # -- the transport ------------------------------------------------------------------------

    def start(self, listener: Listener) -> None:
        """Begin to dial, and to let members in."""
        self._listener = listener
        for contact in self._contacts.values():
            contact.dialer.start()

    def set_members(self, peers: Sequence[Peer]) -> None:
        """Keep connections with these and dial them; let go of those that were among them before.

        What is queued for a member that is let go of still goes out, if it takes it quickly.
        """
        if self._is_stopped:
            return
        told = {peer.id: peer.urls for peer in peers if peer.id != self._identity.member_id}
        for member, contact in list(self._contacts.items()):
            if member not in told and (contact.is_told or self._is_removed(member)):
                self._let_go(contact)
        for member, urls in told.items():
            contact = self._contact(member)
            contact.is_told = True
            contact.dialer.urls = urls
            if contact.link is None and self._listener is not None:
                contact.dialer.start()

    def send(self, member: int, message: Message) -> bool:
        """Send, or answer False: not connected, too much is waiting, or too large for a frame."""
        contact = self._contacts.get(member)
        if contact is None or contact.link is None:
            return False
        try:
            return contact.link.send(encode(message))
        except TooLarge as error:
            _logger.error("cannot send to peer %x: %s", member, error)
            return False

    def connected_since(self, member: int) -> float | None:
        """Return the loop's time since when there is a connection; None without one."""
        contact = self._contacts.get(member)
        return None if contact is None or contact.link is None else contact.link.since_s

    @property
    def counters(self) -> dict[int, Counters]:
        """Return the counters of each member there is, or was told of, a connection with."""
        return {member: contact.counters for member, contact in self._contacts.items()}

    async def stop(self) -> None:
        """Close everything; what is queued goes out first, if it is taken quickly."""
        self._is_stopped = True
        self._listener = None
        self._entrance.close()
        for contact in list(self._contacts.values()):
            self._let_go(contact)
        while self._ending:
            await asyncio.wait(self._ending)

    # -- who comes ----------------------------------------------------------------------------

    def admit(self, hello: Hello, transport: asyncio.Transport) -> None:
        """Take over a connection that a member asks for; raises Refusal."""
        self._judge(hello)
        contact = self._contact(hello.sender)
        contact.saw(hello)
        self._until_ended(contact.dialer.stop())
        me = self._identity
        answer = Welcome(
            me.cluster_id,
            me.member_id,
            hello.sender,
            self._incarnation,
            self._shown(hello.sender),
            self._version,
        )
        transport.write(handshake.welcome(answer))
        origin = Origin(hello.incarnation, is_ours=False, dial=hello.dial)
        self._join(contact, origin, transport, hello)

    def _judge(self, hello: Hello) -> None:
        """Raise Refusal if the sender of a request is not to be let in."""
        me, sender = self._identity, hello.sender
        if hello.cluster_id != me.cluster_id:
            words = f"request cluster ID mismatch (got {hello.cluster_id:x} want {me.cluster_id:x})"
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, words)
        if hello.wanted != me.member_id:
            words = f"request member ID mismatch (got {hello.wanted:x} want {me.member_id:x})"
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, words)
        if sender == me.member_id:
            words = f"another process says that it is this member, {sender:x}"
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, words)
        if self._is_removed(sender):
            words = f"member {sender:x} has been removed from the cluster"
            raise Refusal(HTTPStatus.GONE, words)
        if self._listener is None:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "this member is not ready")
        if other := self._births.contradiction(sender, hello.births):
            words = (
                f"this member and member {sender:x} know different data of member {other:x}: the"
                " cluster has begun anew without one of them; keep both data directories"
            )
            raise Refusal(HTTPStatus.PRECONDITION_FAILED, words)
        contact = self._contacts.get(sender)
        if contact is None:
            strangers = sum(not contact.is_told for contact in self._contacts.values())
            if strangers >= STRANGERS_MAX:
                words = "too many members that this one does not know are connected"
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, words)
            return
        if hello.incarnation in contact.displaced:
            words = (
                f"two processes say that they are member {sender:x}: the one that was connected"
                " last is served, stop the other one"
            )
            raise Refusal(HTTPStatus.LOCKED, words)
        standing = contact.standing()
        if not collision.stays(hello, standing, member=me.member_id, incarnation=self._incarnation):
            contact.saw(hello)
            raise Refusal(HTTPStatus.CONFLICT, "there is another connection")

    # -- whom we dial -------------------------------------------------------------------------

    def hello(self, member: int) -> Hello:
        """Return what to say to a member that is dialed."""
        self._dials += 1
        me, seen = self._identity, self._contacts[member].seen
        return Hello(
            cluster_id=me.cluster_id,
            sender=me.member_id,
            wanted=member,
            incarnation=self._incarnation,
            dial=self._dials,
            seen=seen,
            births=self._shown(member),
            version=self._version,
        )

    def welcomed(
        self, hello: Hello, welcome: Welcome, transport: asyncio.Transport, data: bytes
    ) -> None:
        """Take over a connection that we asked for."""
        origin = Origin(welcome.incarnation, is_ours=True, dial=hello.dial)
        link = self._join(self._contacts[hello.wanted], origin, transport, welcome)
        if data:
            link.data_received(data)

    def disowned(self, member: int) -> None:
        """Tell, once, that we have been removed."""
        if not self._is_disowned:
            self._is_disowned = True
            _logger.error("peer %x says that this member has been removed from the cluster", member)
            self._tell(lambda listener: listener.removed())

    def _shown(self, member: int) -> dict[int, int]:
        told = (number for number, contact in self._contacts.items() if contact.is_told)
        return self._births.shown({member, *told})

    # -- links --------------------------------------------------------------------------------

    def _contact(self, member: int) -> Contact:
        contact = self._contacts.get(member)
        if contact is None:
            counters = Counters()
            dialer = Dialer(
                member,
                self,
                pace=self._pace,
                chance=self._chance,
                context=self._context,
                counters=counters,
            )
            contact = self._contacts[member] = Contact(member, dialer, counters)
        return contact

    def _join(
        self, contact: Contact, origin: Origin, transport: asyncio.Transport, peer: Hello | Welcome
    ) -> Link:
        """Make a connection the live one; `peer` is what the other side said of itself."""
        member, stale = contact.member, contact.link
        link = Link(member, origin, self, pace=self._pace, counters=contact.counters)
        contact.link = link
        link.begin(transport)
        if stale is not None:
            if stale.origin.incarnation != origin.incarnation:
                contact.displaced.append(stale.origin.incarnation)
            stale.abort()
            _logger.warning("peer %x became inactive (it has connected anew)", member)
            self._notices.append(lambda listener: listener.disconnected(member))
        _logger.info("peer %x became active (version %s)", member, peer.version or "unknown")
        self._tell(lambda listener: listener.connected(member, births=peer.births))
        return link

    def received(self, link: Link, message: Message) -> None:
        """Pass a message on."""
        if self._listener is None:
            return
        try:
            self._listener.received(link.member, message)
        except Exception as error:
            self._report(error)
            link.abort()
            self.lost(link, "a message from it could not be handled")

    def lost(self, link: Link, reason: str) -> None:
        """Take leave of a link that has ended by itself, and dial the member if we know it."""
        contact, member = self._contacts.get(link.member), link.member
        if contact is None or contact.link is not link:
            return
        contact.link = None
        contact.displaced.clear()
        _logger.warning("peer %x became inactive (%s)", member, reason)
        contact.dialer.lost(asyncio.get_running_loop().time() - link.since_s)
        if contact.is_told:
            contact.dialer.start()
        else:
            del self._contacts[member]
        self._tell(lambda listener: listener.disconnected(member))

    def _let_go(self, contact: Contact) -> None:
        """End what there is with a member, of our own accord."""
        member, link = contact.member, contact.link
        del self._contacts[member]
        self._until_ended(contact.dialer.stop())
        if link is not None:
            self._until_ended(link.finish())
            self._notices.append(lambda listener: listener.disconnected(member))
            asyncio.get_running_loop().call_soon(self._tell_all)

    def _until_ended(self, ending: asyncio.Future[None] | None) -> None:
        if ending is not None:
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    # -- the listener -------------------------------------------------------------------------

    def _tell(self, notice: Callable[[Listener], None]) -> None:
        self._notices.append(notice)
        self._tell_all()

    def _tell_all(self) -> None:
        while self._notices and self._listener is not None:
            notice = self._notices.popleft()
            try:
                notice(self._listener)
            except Exception as error:
                self._report(error)

    def _report(self, error: Exception) -> None:
        words = "a bug: what comes from other members could not be handled"
        _logger.error(words, exc_info=error)
        context = {"message": words, "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
