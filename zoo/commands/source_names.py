"""Names of sources and of their videos that people can tell apart."""

import collections


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
