"""Durations as Go prints them: `22h59m59s`.

Laws: pure; whole seconds, and only the units that are needed.
"""

import math


def go_duration(seconds: float) -> str:
    """The duration, rounded down to seconds."""
    if math.isinf(seconds):
        return "ever"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
