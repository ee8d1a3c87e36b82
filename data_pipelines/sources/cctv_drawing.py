"""Draws the scene of `synthetic_cctv`: a street seen by a fixed camera, and people moving in it.

Lengths are metres on the ground: x along the street, z away from the camera. A person is drawn
upright at the size that its distance gives, from polygons with fractions of a pixel.
"""

import dataclasses
import math

import numpy as np

KINDS = ("walk", "cycle", "run", "against")

# Nearest and farthest that people walk.
NEAR, FAR = 6.0, 15.0

_CAMERA_HEIGHT = 3.2

_METAL = (40, 40, 45)

# Fractional bits of polygon corners in OpenCV's drawing functions.
_SHIFT = 4

# Metres per second, mean and half the range; runners and cyclists are several times as fast.
_SPEEDS = {"walk": (1.3, 0.25), "against": (1.3, 0.25), "run": (3.0, 0.4), "cycle": (3.8, 0.5)}

# Metres that one cycle of two steps takes, or one turn of the pedals.
_CYCLE = {"walk": 1.5, "against": 1.5, "run": 2.6, "cycle": 4.5}

# Angle of the thighs in radians to either side.
_SWING = {"walk": 0.45, "against": 0.45, "run": 0.85, "cycle": 0.0}


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera that looks across a street, as a pinhole.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
    """

    height: int
    width: int

    @property
    def focal(self):
        """Pixels per metre at a distance of one metre."""
        return 1.5 * self.height

    def scale(self, z):
        """Pixels per metre at distance `z`."""
        return self.focal / z

    def project(self, x, z):
        """Returns column and row of a point on the ground."""
        scale = self.scale(z)
        return self.width / 2 + scale * x, 0.18 * self.height + scale * _CAMERA_HEIGHT

    def half_view(self, z):
        """Metres from the middle of the view at `z` to where nobody is seen any more."""
        return self.width / 2 / self.scale(z) + 1.0


@dataclasses.dataclass(frozen=True)
class Mover:
    """Somebody who crosses the view once.

    Attributes:
        kind: One of `KINDS`.
        z: Distance from the camera in metres.
        speed: Metres per second along x, negative against the flow.
        start_sec: When the edge of the view is entered.
        half_view: Metres from the middle to the edge.
        drift: Metres to either side of `z` that the path bends.
        phase: Of the gait, in radians.
        body: Height in metres.
        colours: float `(6, 3)`, BGR in 0 to 255, of the jacket's front and back, the sleeves, the
            trousers, the hair and the skin.
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

    @property
    def end_sec(self):
        """When the view is left on the other side."""
        return self.start_sec + 2 * self.half_view / abs(self.speed)

    def position(self, second):
        """Returns x and z in metres."""
        way = abs(self.speed) * (second - self.start_sec) - self.half_view
        z = self.z + self.drift * math.sin(0.35 * second + self.phase)
        return math.copysign(1.0, self.speed) * way, z


def draw_mover(rng, camera, kind, start_sec, z=None):
    """Draws at random who crosses the view.

    Args:
        rng: `numpy.random.Generator`.
        camera: `Camera`.
        kind: One of `KINDS`.
        start_sec: When the view is entered, in seconds.
        z: Distance in metres, or `None` to draw it.

    Returns:
        `Mover`.
    """
    if z is None:
        z = rng.uniform(NEAR, FAR)
    mean, spread = _SPEEDS[kind]
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


def draw_background(rng, camera):
    """Paints what stands still: a building, the pavement in perspective, kerb and plants.

    Args:
        rng: `numpy.random.Generator`.
        camera: `Camera`.

    Returns:
        uint8 `(height, width, 3)`, BGR.
    """
    import cv2

    height, width = camera.height, camera.width
    scene = np.full((height, width, 3), rng.uniform(95, 125), np.float32)
    scene *= rng.uniform(0.9, 1.1, 3).astype(np.float32)
    foot = int(camera.project(0, FAR + 2.5)[1])
    brick = max(2, height // 32)
    for row in range(0, foot, brick):
        scene[row : row + 1] *= 0.86
        shade = np.repeat(rng.uniform(0.92, 1.08, -(-width // (2 * brick))), 2 * brick)[:width]
        scene[row : row + brick] *= shade[None, :, None].astype(np.float32)
    for left in np.arange(0.06, 0.95, 0.19) * width:
        box = (int(left), int(0.05 * height)), (int(left + 0.1 * width), int(0.24 * height))
        cv2.rectangle(scene, *box, (70, 62, 55), -1)
        cv2.rectangle(scene, *box, (165, 170, 172), 1)
    scene[foot:] = rng.uniform(135, 155) * np.array([0.97, 1.0, 1.02])
    z = NEAR * 0.6
    while z < FAR + 2.5:
        for x in np.arange(-16.0, 16.0, 1.2):
            square = [camera.project(a, b) for a, b in
                      ((x, z), (x + 1.15, z), (x + 1.15, z + 1.1), (x, z + 1.1))]
            tone = float(rng.uniform(0.88, 1.06))
            colour = tuple(float(c) * tone for c in (144, 148, 151))
            cv2.fillConvexPoly(scene, _fixed(square), colour, cv2.LINE_AA, _SHIFT)
        z += 1.2
    scene[foot : foot + max(1, height // 48)] = (185, 188, 190)
    for left in (-0.04, 0.88):
        leaves = rng.normal([(left + 0.08) * width, foot * 0.92], [0.05 * width, 0.06 * height],
                            (160, 2))
        for x, y in leaves:
            green = rng.uniform(35, 115)
            cv2.circle(scene, (int(x), int(y)), max(1, height // 60),
                       (green * 0.55, green, green * 0.6), -1, cv2.LINE_AA)
    texture = cv2.GaussianBlur(rng.normal(0, 9, (height, width)).astype(np.float32), (0, 0), 0.8)
    return np.clip(scene + texture[..., None], 0, 255).astype(np.uint8)


def draw_people(frame, camera, movers, second, mask=None, marked=None):
    """Draws people into a frame, those farther away first, so that nearer ones hide them.

    Args:
        frame: uint8 `(height, width, 3)`, BGR, drawn into.
        camera: `Camera`.
        movers: `Mover`s that are in view.
        second: Time in seconds.
        mask: uint8 `(height, width)` of zeros, set to 1 where `marked` is seen, or `None`.
        marked: One of `movers`, or `None`.
    """
    import cv2

    placed = sorted(((m.position(second), m) for m in movers), key=lambda p: -p[0][1])
    for (x, z), mover in placed:
        scale = camera.scale(z)
        foot = np.array(camera.project(x, z))
        shadow = (92.0, 95.0, 98.0)
        cv2.ellipse(frame, _fixed(foot).tolist(), _fixed((0.32 * scale, 0.08 * scale)).tolist(),
                    0, 0, 360, shadow, -1, cv2.LINE_AA, _SHIFT)
        side = np.array([math.copysign(scale, mover.speed), -scale])
        inside = 1 if mover is marked else 0
        quads, colours, circles = _figure(mover, x)
        quads = _fixed(foot + quads * side)
        for place in range(len(quads) + 1):
            for centre, radius, line, colour in circles.get(place, ()):
                at = _fixed(foot + np.array(centre) * side).tolist()
                size = int(radius * scale * (1 << _SHIFT))
                line = -1 if line is None else max(1, round(line * scale))
                cv2.circle(frame, at, size, colour, line, cv2.LINE_AA, _SHIFT)
                if mask is not None:
                    cv2.circle(mask, at, size, inside, line, cv2.LINE_8, _SHIFT)
            if place < len(quads):
                cv2.fillConvexPoly(frame, quads[place], colours[place], cv2.LINE_AA, _SHIFT)
                if mask is not None:
                    cv2.fillConvexPoly(mask, quads[place], inside, cv2.LINE_8, _SHIFT)


def _figure(mover, x):
    """Poses a figure, in metres from the point on the ground below it, x forwards and y up.

    Returns:
        Quadrilaterals `(n, 4, 2)` back to front, their colours, and a dict from a place among
        them to the circles `((x, y), radius, line or None to fill, colour)` drawn before it.
    """
    kind, body = mover.kind, mover.body
    front, back, sleeve, trousers, hair, skin = [tuple(c) for c in mover.colours.tolist()]
    phase = mover.phase + 2 * math.pi * abs(x + mover.half_view) / _CYCLE[kind]
    cycling = kind == "cycle"
    lean = {"run": 0.14, "cycle": 0.30}.get(kind, 0.03)
    bounce = (0.075 if kind == "run" else 0.03) * abs(math.cos(phase))
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
    return _quads(np.array(limbs)), colours, circles


def _stride(kind, body, turn, hip, shoulder):
    running = kind == "run"
    swing = _SWING[kind] * math.sin(turn)
    shin = swing - ((0.9 if running else 0.45) * max(0.0, math.cos(turn)) + 0.05)
    reach = -0.9 * swing
    forearm = reach + (1.5 if running else 0.25)
    knee = (hip[0] + 0.26 * body * math.sin(swing), hip[1] - 0.26 * body * math.cos(swing))
    foot = (knee[0] + 0.26 * body * math.sin(shin), knee[1] - 0.26 * body * math.cos(shin))
    elbow = (shoulder[0] + 0.17 * body * math.sin(reach),
             shoulder[1] - 0.17 * body * math.cos(reach))
    hand = (elbow[0] + 0.16 * body * math.sin(forearm), elbow[1] - 0.16 * body * math.cos(forearm))
    return knee, foot, elbow, hand


def _pedal(kind, body, turn, hip, shoulder):
    foot = (0.12 + 0.16 * math.cos(turn), 0.34 - 0.16 * math.sin(turn))
    knee = ((hip[0] + foot[0]) / 2 + 0.20, (hip[1] + foot[1]) / 2 + 0.06)
    hand = (0.50, 1.02)
    elbow = ((shoulder[0] + hand[0]) / 2 - 0.02, (shoulder[1] + hand[1]) / 2 - 0.08)
    return knee, foot, elbow, hand


def _quads(limbs):
    # Rows x, y of the start, x, y of the end, width at each: all limbs of a figure at once.
    starts, ends, widths = limbs[:, :2], limbs[:, 2:4], limbs[:, 4:, None]
    along = ends - starts
    across = along[:, ::-1] * [-0.5, 0.5] / np.linalg.norm(along, axis=1, keepdims=True)
    return np.stack(
        [starts + across * widths[:, 0], ends + across * widths[:, 1],
         ends - across * widths[:, 1], starts - across * widths[:, 0]], axis=1
    )


def _fixed(points):
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)
