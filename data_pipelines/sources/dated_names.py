"""Dates that names of files and folders hold."""

import datetime
import re

# 2024-05-01, 2024_05_01, 2024.05.01 and 20240501, maybe with the time of day behind it.
DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>\d\d)(?P=mark)(?P<day>\d\d)"
    r"(?:[-_. T]?(?P<hour>\d\d)[-_.:h]?(?P<minute>\d\d)(?:[-_.:m]?(?P<second>\d\d))?)?(?!\d)"
)


def moment_in(name):
    """Finds the last date in a name.

    Args:
        name: str.

    Returns:
        `(datetime, whether it has a time of day)`; None where there is no date.

    Example:
        >>> moment_in("gate/2024-05-01_08-30.mp4")
        (datetime.datetime(2024, 5, 1, 8, 30), True)
    """
    moments = [moment for found in DATE.finditer(name) if (moment := _moment(found))]
    return moments[-1] if moments else None


def _moment(found):
    year, month, day, hour, minute, second = (
        int(found[part] or 0) for part in ("year", "month", "day", "hour", "minute", "second")
    )
    try:
        date = datetime.datetime(year, month, day)
    except ValueError:
        return None
    try:
        return date.replace(hour=hour, minute=minute, second=second), found["hour"] is not None
    except ValueError:
        return date, False
