"""Where the program begins.

Law: a Ctrl-C that comes while it loads ends it as it ends a program without handlers, without a
traceback, unless it was started to ignore it: so that is settled before anything that takes long is
imported. What comes before, while Python itself starts (10 ms), is answered by Python.
"""

import _signal  # type: ignore[import-not-found]  # `signal` takes 2 ms: it imports enum


def main() -> None:
    """Run the command line; never returns."""
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from pyetcdctl.command.main import main

    main()
