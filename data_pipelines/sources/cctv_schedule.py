"""Who comes into the view of an archive's camera, and when: the same whichever file asks."""

import dataclasses
import math

from data_pipelines.sources import cctv_day
from data_pipelines.sources.cctv_people import (
    FAR,
    KINDS,
    NEAR,
    SLOWEST,
    STAYING,
    draw_crowd,
    draw_mover,
)

EVENTS = (*KINDS[1:], *STAYING)

# How long somebody stands about, or a bag lies.
_PAUSE_SEC = (20.0, 60.0)

# Numbers of tracks: so many people a minute at most; those of events begin behind all of them.
_PER_MINUTE, _FIRST_EVENT, _PER_EVENT = 1000, 10**12, 4


def movers(plan, camera, view, minute):
    """Lists who may be in view in a minute.

    Args:
        plan: `Plan`.
        camera: Number of the camera.
        view: `cctv_drawing.Camera`, what it sees.
        minute: Of the archive.

    Returns:
        List of `(track, Mover)`, in an order and with numbers that other minutes agree with.
    """
    # Who walks through slowest may have come in so much earlier.
    crossing = 2 * view.half_view(FAR) / SLOWEST
    found = []
    for earlier in range(minute - math.ceil(crossing / 60), minute + 1):
        found += _crowd(plan, camera, view, earlier)
    if plan.events_per_hour:
        slot_sec, begin = 3600 / plan.events_per_hour, 60 * plan.minutes("train")
        first = math.floor((60 * minute - begin - crossing - 2 * _PAUSE_SEC[1]) / slot_sec)
        last = math.floor((60 * (minute + 1) - begin) / slot_sec)
        for slot in range(max(0, first), last + 1):
            found += _event(plan, camera, view, slot, begin + slot * slot_sec, slot_sec)
    return [(track, mover) for track, mover in found
            if mover.start_sec < 60 * (minute + 1) and mover.end_sec >= 60 * minute]


def _crowd(plan, camera, view, minute):
    # Before the archive begins there are minutes, too, so that it begins with people in view.
    rate = cctv_day.arrivals(plan, camera, max(0, minute))
    if not rate:
        return []
    rng = plan.draws("crowd", camera, minute + _PER_MINUTE)
    begin = 60 * minute + rng.exponential(1 / rate)
    crowd = draw_crowd(rng, view, begin, 60 * (minute + 1), rate)
    first = (minute + _PER_MINUTE) * _PER_MINUTE
    return [(first + place, mover) for place, mover in enumerate(crowd)]


def _event(plan, camera, view, slot, begin_sec, slot_sec):
    # The kinds take turns; cameras begin with different ones.
    kind = EVENTS[(slot + camera) % len(EVENTS)]
    rng = plan.draws("event", camera, slot)
    second = begin_sec + rng.uniform(0.1, 0.5) * slot_sec
    # What lies on the ground is small, so it is left where it can be seen.
    z = rng.uniform(NEAR + 1.0, NEAR + 3.0 if kind == "left" else FAR - 2.0)
    mover = draw_mover(rng, view, kind, second, z)
    if kind in STAYING:
        reach = 0.6 * (mover.half_view - 1.0)
        mover = dataclasses.replace(
            mover, pause_x=rng.uniform(-reach, reach), pause_sec=rng.uniform(*_PAUSE_SEC)
        )
    found = [mover]
    if kind == "left":
        # Somebody brings it and goes on; somebody else, who walks just so, takes it along.
        carrier = dataclasses.replace(
            draw_mover(rng, view, "walk", second, z), speed=mover.speed, drift=0.0
        )
        taker = dataclasses.replace(
            draw_mover(rng, view, "walk", second + mover.pause_sec, z), speed=mover.speed, drift=0.0
        )
        # A little nearer than they, so that it hides them and not they it.
        found = [dataclasses.replace(mover, z=z - 0.01, drift=0.0), carrier, taker]
    first = _FIRST_EVENT + slot * _PER_EVENT
    return [(first + place, mover) for place, mover in enumerate(found)]
