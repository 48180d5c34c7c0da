"""The face: HTTP in, HTTP out. Knows no disks.

A request's way: `front_door` splits it off (`request_head` reads its head, `framing` finds its end)
and sends it down the `express` lane or to `app`, which routes it, with aiohttp reading heads and
bodies; `target`, `forms` and `params` make a typed request of it; a handler (`keys`, `members` with
`reconfiguration`, `stats`, `status`, `metrics`, `debug`, `peer_port`: see `routes`) asks the log or
the store; `render` makes bytes of the answer. A JSON body is read by `json_text`, as Go reads it;
what is wrong with one is said by `json_scanner`. Long polls and streams go through `watching`.
Handlers know `exchange` only, not aiohttp.

Who may wait: a write waits for its reply from the log, a quorum read for its barrier, a watch for
events. Everything else is answered in one go from memory.
"""

from api.app import App
from api.backend import Backend, Versions
from api.routes import client_app, metrics_app, peer_app

__all__ = ["App", "Backend", "Versions", "client_app", "metrics_app", "peer_app"]
