"""Names of sources and of their videos that people can tell apart."""

import collections
import re
from pathlib import Path


def told_apart(names, taken=()):
    """A name for each of some things that no other of them has.

    Args:
        names: List of `(short, long)`, both str: the short one is given where it is of a kind, else
            the long one, with a number where that is there already.
        taken: Names that none of them may have.

    Returns:
        List of str.

    Example:
        >>> told_apart([("a.mp4", "x/a.mp4"), ("a.mp4", "y/a.mp4"), ("b.mp4", "x/b.mp4")])
        ['x/a.mp4', 'y/a.mp4', 'b.mp4']
    """
    times = collections.Counter(short for short, _ in names) + collections.Counter(taken)
    given = set(taken)
    found = []
    for short, long in names:
        name, number = short if times[short] == 1 else long, 1
        while name in given:
            number += 1
            name = f"{long} ({number})"
        given.add(name)
        found.append(name)
    return found


def name_and_place(given):
    """Takes NAME=SOURCE apart.

    Args:
        given: str, a path or an address, maybe with a name.

    Returns:
        `(name, place)`; the name is None where there is none, or a file has such a name.

    Example:
        >>> name_and_place("gate=rtsp://10.0.0.2/live"), name_and_place("http://gate/video?key=1")
        (('gate', 'rtsp://10.0.0.2/live'), (None, 'http://gate/video?key=1'))
    """
    named = re.fullmatch(r"([^/:?=]+)=(.+)", given)
    return named.groups() if named and not Path(given).exists() else (None, given)
