"""The other members, over real connections: the transport that `raft.transport` describes.

Start with `mesh` (who is connected). A connection begins with the `handshake`, an HTTP upgrade on
the peer port: `entrance` is where it arrives, `dialer` where it is asked for, at an `address`;
`collision` says which of two connections stays. From then on it is a `link`, which carries
`frames`. `pace` has the times of all this.

What a peer port gets that is no handshake is handed, byte for byte, to whoever serves HTTP there.
"""

from raft.peers.link import Counters
from raft.peers.mesh import Mesh

__all__ = ["Counters", "Mesh"]
