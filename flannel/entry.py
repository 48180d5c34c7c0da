"""Where the two programs begin.

Law: a SIGINT that comes before they are up ends them as it ends a C program, without a traceback:
so it is settled before anything that takes long is imported.
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
