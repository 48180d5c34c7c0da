"""Where the two programs begin.

Law: a SIGINT that comes while they load (half a second) ends them as it ends a C program, without a
traceback: so it is settled before anything that takes long is imported. What comes before, while
Python itself starts and imports this module (some 20 ms), is answered by Python with a traceback.
"""

import signal


def pyflanneld() -> None:
    """The daemon."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from flannel.main import main

    main()


def docker_opts() -> None:
    """`pyflannel-docker-opts`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from flannel.docker_opts import main

    main()
