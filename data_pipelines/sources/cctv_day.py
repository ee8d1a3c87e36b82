"""What the hour, the weather and the wind do to an archive of `synthetic_cctv`."""

import functools
import math

import numpy as np

WEATHER = ("rain", "fog", "snow")

_SPELL_MINUTES = 20
_EASE_SEC = 90.0  # in which weather comes and goes

# Hours between which it grows light, and dark.
_DAWN, _DUSK = (5.5, 7.5), (18.0, 20.0)

# Hours at which most people are out, how many hours around them, and how many of the most.
_BUSY = ((8.3, 1.0, 1.0), (12.7, 1.8, 0.7), (17.5, 1.5, 1.0))
_SELDOM = 0.05

# Empty stretches: one may begin in each block of so many minutes, and lasts so many.
_BLOCK_MINUTES, _EMPTY_MINUTES = 12, (3, 7)

_MOST_SHAKE = 0.02  # of the height


def daylight(plan, minute):
    """How light it is, from 0 at night to 1, at a minute of the archive."""
    if "night" not in plan.conditions:
        return 1.0
    hour = plan.hour(minute)
    return _rise(hour, *_DAWN) * (1.0 - _rise(hour, *_DUSK))


def weather(plan, minute):
    """What falls at a minute of the archive, on all cameras.

    Returns:
        `(kind, strength)`: one of `WEATHER` and from 0 to 1; `("clear", 0.0)` of other minutes.
    """
    spell, into = divmod(minute, _SPELL_MINUTES)
    kind, most = _spell(plan, int(spell))
    return kind, most * min(1.0, min(into, _SPELL_MINUTES - into) * 60 / _EASE_SEC)


def is_empty(plan, camera, minute):
    """Whether nobody comes into the view in a minute, somebody abnormal aside."""
    block, into = divmod(minute, _BLOCK_MINUTES)
    rng = plan.draws("empty", camera, block)
    length = int(rng.integers(_EMPTY_MINUTES[0], _EMPTY_MINUTES[1] + 1))
    begin = int(rng.integers(_BLOCK_MINUTES - length + 1))
    is_drawn = rng.random() < 0.5
    return "empty" in plan.conditions and is_drawn and begin <= into < begin + length


def arrivals(plan, camera, minute):
    """How many people come into the view per second, on average, in a minute."""
    if is_empty(plan, camera, minute):
        return 0.0
    most = plan.draws("busy", camera).uniform(0.15, 0.4)
    hour = plan.hour(minute)
    crowd = max(
        much * math.exp(-(((hour - peak + 12) % 24 - 12) / wide) ** 2)
        for peak, wide, much in _BUSY
    )
    return most * max(_SELDOM, crowd)


def margin(height):
    """By how many pixels a picture can be shifted at most."""
    return max(2, round(_MOST_SHAKE * height))


def shake(plan, camera, minute):
    """By how much the wind shifts the picture in each frame of a minute.

    Returns:
        int `(frames, 2)`: pixels down and to the right, of most minutes zeros.
    """
    rng = plan.draws("shake", camera, minute)
    seconds = np.arange(plan.frames_per_minute) / plan.fps
    if "shake" not in plan.conditions or rng.random() < 0.8:
        return np.zeros((len(seconds), 2), int)
    begin, length = rng.uniform(0, 45), rng.uniform(4, 15)
    gust = np.sin(math.pi * np.clip((seconds - begin) / length, 0, 1))
    sway = np.sin(2 * math.pi * rng.uniform(0.7, 2.3, 2) * seconds[:, None] + rng.uniform(0, 6, 2))
    most = margin(plan.size[0]) * rng.uniform(0.6, 1.0)
    return np.rint(most * gust[:, None] * sway).astype(int)


def drift(plan, camera, second):
    """The slow change of the light by clouds, a factor of at most 1."""
    fast, slow = _phases(plan, camera)
    return 0.91 + 0.06 * math.sin(0.11 * second + fast) + 0.03 * math.sin(0.037 * second + slow)


# The same few are asked for second by second.
@functools.lru_cache(maxsize=4)
def _spell(plan, number):
    rng = plan.draws("weather", number)
    if "weather" not in plan.conditions or rng.random() < 0.5:
        return "clear", 0.0
    return WEATHER[rng.integers(len(WEATHER))], rng.uniform(0.5, 1.0)


@functools.lru_cache(maxsize=4)
def _phases(plan, camera):
    return plan.draws("drift", camera).uniform(0, 2 * math.pi, 2).tolist()


def _rise(hour, begin, end):
    part = min(1.0, max(0.0, (hour - begin) / (end - begin)))
    return part * part * (3 - 2 * part)
