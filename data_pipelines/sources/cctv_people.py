"""Who crosses the street of `synthetic_cctv`: clothes, speed, path, and the pose at each place."""

import dataclasses
import math

import numpy as np

KINDS = ("walk", "cycle", "run", "against")

# What an archive has besides: somebody who stands about, and a bag that is left behind.
STAYING = ("loiter", "left")

# Nearest and farthest that people walk, in metres from the camera.
NEAR, FAR = 6.0, 15.0

_METAL = (40, 40, 45)

# Metres per second, mean and half the range, of who walks and of those several times as fast.
_WALK, _SPEEDS = (1.3, 0.25), {"run": (3.0, 0.4), "cycle": (3.8, 0.5)}
SLOWEST = _WALK[0] - _WALK[1]

# Metres that one cycle of two steps takes, or one turn of the pedals.
_STEPS, _CYCLE = 1.5, {"run": 2.6, "cycle": 4.5}


@dataclasses.dataclass(frozen=True)
class Mover:
    """Somebody who crosses the view once.

    Attributes:
        kind: One of `KINDS` or `STAYING`.
        z: Distance from the camera in metres.
        speed: Metres per second along x, negative against the flow.
        start_sec: When the edge of the view is entered.
        half_view: Metres from the middle to the edge.
        drift: Metres to either side of `z` that the path bends.
        phase: Of the gait, in radians.
        body: Height in metres.
        colours: float `(6, 3)`, BGR in 0 to 255, of the jacket's front and back, the sleeves, the
            trousers, the hair and the skin.
        pause_x: Where along the street the way is interrupted, in metres.
        pause_sec: For how long.
    """

    kind: str
    z: float
    speed: float
    start_sec: float
    half_view: float
    drift: float
    phase: float
    body: float
    colours: np.ndarray
    pause_x: float = 0.0
    pause_sec: float = 0.0

    @property
    def end_sec(self):
        """When the view is left on the other side."""
        return self.start_sec + 2 * self.half_view / abs(self.speed) + self.pause_sec

    @property
    def abnormal_sec(self):
        """`(first, last)` second between which it is abnormal, or `None`."""
        if self.kind == "walk":
            return None
        if self.kind in STAYING:
            return self._pause_start, self._pause_start + self.pause_sec
        return self.start_sec, self.end_sec

    @property
    def _pause_start(self):
        way = math.copysign(1.0, self.speed) * self.pause_x + self.half_view
        return self.start_sec + way / abs(self.speed)

    def position(self, second):
        """Returns x and z in metres, of one second or of an array of them."""
        moving = second - self.start_sec
        if self.pause_sec:
            moving = moving - np.clip(second - self._pause_start, 0.0, self.pause_sec)
        way = abs(self.speed) * moving - self.half_view
        z = self.z + self.drift * np.sin(0.35 * second + self.phase)
        return math.copysign(1.0, self.speed) * way, z


def draw_mover(rng, camera, kind, start_sec, z=None):
    """Draws at random who crosses the view.

    Args:
        rng: `numpy.random.Generator`.
        camera: `Camera`.
        kind: One of `KINDS` or `STAYING`.
        start_sec: When the view is entered, in seconds.
        z: Distance in metres, or `None` to draw it.

    Returns:
        `Mover`.
    """
    if z is None:
        z = rng.uniform(NEAR, FAR)
    mean, spread = _SPEEDS.get(kind, _WALK)
    speed = rng.uniform(mean - spread, mean + spread) * (-1 if kind == "against" else 1)
    dark, light = rng.uniform(10, 60, (6, 3)), rng.uniform(190, 250, (6, 3))
    colours = np.where(rng.random((6, 1)) < 0.5, dark, light)
    # A jacket of two tones, and trousers unlike its front: what moves shows, whoever it is.
    flipped = np.where(colours < 128, light, dark)
    colours[1], colours[3] = flipped[0], flipped[0] if rng.random() < 0.6 else colours[0]
    if kind in ("cycle", "run"):
        # Fast, but no more striking than anybody: sportswear of one tone.
        colours[:4] = rng.uniform(60, 200, (1, 3)) + rng.uniform(-15, 15, (4, 3))
    colours[4] = rng.uniform(10, 90) * np.array([0.7, 0.9, 1.0])
    colours[5] = rng.uniform(110, 210) * np.array([0.75, 0.85, 1.0])
    return Mover(
        kind, z, speed, start_sec, camera.half_view(z), rng.uniform(0.0, 0.4),
        rng.uniform(0, 2 * math.pi), rng.uniform(1.6, 1.85), colours,
    )


def draw_crowd(rng, camera, second, end_sec, per_second):
    """Draws at random who walks through the view, alone or by twos.

    Args:
        rng: `numpy.random.Generator`.
        camera: `Camera`.
        second: When the first of them enters the view.
        end_sec: When nobody enters any more.
        per_second: How often somebody enters, on average.

    Returns:
        List of `Mover`.
    """
    crowd = []
    while second < end_sec:
        mover = draw_mover(rng, camera, "walk", second)
        crowd.append(mover)
        if rng.random() < 0.3:
            z = float(np.clip(mover.z + rng.uniform(-0.8, 0.8), NEAR, FAR))
            crowd.append(draw_mover(rng, camera, "walk", second + rng.uniform(0.0, 0.6), z))
        second += rng.exponential(1 / per_second)
    return crowd


def pose(mover, x):
    """Poses a figure, in metres from the point on the ground below it, x forwards and y up.

    Args:
        mover: `Mover`.
        x: Where it is along the street, float `(n,)`.

    Returns:
        Quadrilaterals `(n, parts, 4, 2)` back to front, their `parts` colours, and a dict from a
        place among them to the circles `((x, y), radius, line or None to fill, colour)` drawn
        before it; x and y are one number or `(n,)`.
    """
    kind, body = mover.kind, mover.body
    front, back, sleeve, trousers, hair, skin = [tuple(c) for c in mover.colours.tolist()]
    if kind == "left":
        return _bag(mover, x, front, back)
    phase = mover.phase + 2 * math.pi * abs(x + mover.half_view) / _CYCLE.get(kind, _STEPS)
    cycling = kind == "cycle"
    lean = {"run": 0.14, "cycle": 0.30}.get(kind, 0.03)
    bounce = (0.075 if kind == "run" else 0.03) * abs(np.cos(phase))
    hip = (-0.12 if cycling else 0.0, 0.52 * body + (0.06 if cycling else bounce))
    shoulder = (hip[0] + lean * 1.1, hip[1] + 0.30 * body)
    legs, arms = [], []
    for turn in (phase, phase + math.pi):
        knee, foot, elbow, hand = (_pedal if cycling else _stride)(kind, body, turn, hip, shoulder)
        toe = (foot[0] + 0.20, foot[1])
        legs.append([(*hip, *knee, 0.17, 0.13), (*knee, *foot, 0.13, 0.10),
                     (*foot, *toe, 0.08, 0.06)])
        arms.append([(*shoulder, *elbow, 0.12, 0.10), (*elbow, *hand, 0.10, 0.07)])
    limbs, colours, circles = [], [], {}
    if cycling:
        limbs += [(-0.52, 0.34, 0.12, 0.34, 0.05, 0.05), (0.12, 0.34, -0.1, 0.85, 0.05, 0.05),
                  (0.12, 0.34, 0.45, 0.92, 0.05, 0.05), (-0.1, 0.85, 0.45, 0.92, 0.05, 0.05),
                  (0.55, 0.34, 0.45, 1.02, 0.05, 0.05)]
        colours += [_METAL] * 5
        circles[0] = [((wheel, 0.34), 0.33, 0.045, _METAL) for wheel in (-0.52, 0.55)]
    # The far arm and leg are in the shade of the body.
    shaded = [tuple(0.8 * c for c in colour) for colour in (sleeve, trousers)]
    limbs += arms[1] + legs[1] + legs[0]
    colours += [shaded[0]] * 2 + [shaded[1]] * 2 + [hair] + [trousers] * 2 + [hair]
    for offset, colour in ((-0.075, back), (0.075, front)):
        limbs.append((shoulder[0] + offset, shoulder[1] + 0.03, hip[0] + offset, hip[1],
                      0.15, 0.15))
        colours.append(colour)
    head = (shoulder[0] + 0.04 + lean * 0.3, shoulder[1] + 0.12 * body)
    circles[len(limbs)] = [
        ((head[0] - 0.02, head[1] + 0.03), 0.13, None, hair),
        ((head[0] + 0.03, head[1] - 0.01), 0.11, None, skin),
    ]
    limbs += arms[0]
    colours += [sleeve] * 2
    return _quads(limbs, len(x)), colours, circles


def _bag(mover, x, colour, handle):
    # Carried by hand, and lowered and lifted on the last half metre.
    low = np.minimum(0.3, 0.6 * abs(x - mover.pause_x))
    limbs = [(-0.12, low + 0.56, 0.12, low + 0.56, 0.06, 0.06),
             (0.0, low, 0.0, low + 0.5, 0.62, 0.62)]
    return _quads(limbs, len(x)), [handle, colour], {}


def _stride(kind, body, turn, hip, shoulder):
    running = kind == "run"
    swing = (0.85 if running else 0.45) * np.sin(turn)
    shin = swing - ((0.9 if running else 0.45) * np.maximum(0.0, np.cos(turn)) + 0.05)
    reach = -0.9 * swing
    forearm = reach + (1.5 if running else 0.25)
    knee = (hip[0] + 0.26 * body * np.sin(swing), hip[1] - 0.26 * body * np.cos(swing))
    foot = (knee[0] + 0.26 * body * np.sin(shin), knee[1] - 0.26 * body * np.cos(shin))
    elbow = (shoulder[0] + 0.17 * body * np.sin(reach),
             shoulder[1] - 0.17 * body * np.cos(reach))
    hand = (elbow[0] + 0.16 * body * np.sin(forearm), elbow[1] - 0.16 * body * np.cos(forearm))
    return knee, foot, elbow, hand


def _pedal(kind, body, turn, hip, shoulder):
    foot = (0.12 + 0.16 * np.cos(turn), 0.34 - 0.16 * np.sin(turn))
    knee = ((hip[0] + foot[0]) / 2 + 0.20, (hip[1] + foot[1]) / 2 + 0.06)
    hand = (0.50, 1.02)
    elbow = ((shoulder[0] + hand[0]) / 2 - 0.02, (shoulder[1] + hand[1]) / 2 - 0.08)
    return knee, foot, elbow, hand


def _quads(limbs, count):
    # Of each limb x, y of the start, x, y of the end, width at each: all of a figure at once.
    table = np.empty((count, len(limbs), 6))
    for place, limb in enumerate(limbs):
        for part, number in enumerate(limb):
            table[:, place, part] = number
    starts, ends, widths = table[..., :2], table[..., 2:4], table[..., 4:, None]
    along = ends - starts
    across = along[..., ::-1] * [-0.5, 0.5] / np.linalg.norm(along, axis=-1, keepdims=True)
    return np.stack(
        [starts + across * widths[..., 0, :], ends + across * widths[..., 1, :],
         ends - across * widths[..., 1, :], starts - across * widths[..., 0, :]], axis=-2
    )
