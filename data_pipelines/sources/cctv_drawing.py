"""Draws the scene of `synthetic_cctv`: a street seen by a fixed camera, and people in it.

Lengths are metres on the ground: x along the street, z away from the camera. A person is drawn
upright at the size that its distance gives, from polygons with fractions of a pixel.
"""

import dataclasses
import math

import numpy as np

from data_pipelines.sources.cctv_people import FAR, NEAR, pose

_CAMERA_HEIGHT = 3.2

# Fractional bits of polygon corners in OpenCV's drawing functions.
_SHIFT = 4


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
        quads, colours, circles = pose(mover, x)
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


def _fixed(points):
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)
