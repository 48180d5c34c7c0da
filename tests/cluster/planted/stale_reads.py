"""A member that takes its own state for the newest: quorum reads are answered at once."""

import asyncio

from raft import Node
from server.main import main


def _no_barrier(node: Node[object]) -> asyncio.Future[None]:
    """Nothing to wait for: this is the defect."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


Node.read_barrier = _no_barrier

if __name__ == "__main__":
    main()
