"""`make lab`. A SIGINT that comes while it loads ends it without a traceback."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy.lab.command import main

    sys.exit(main())
