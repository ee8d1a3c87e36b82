"""Draws the scene of `synthetic_cctv`: a street seen by a fixed camera, and people in it.

Lengths are metres on the ground: x along the street, z away from the camera. A person is drawn
upright at the size that its distance gives, from polygons with fractions of a pixel.
"""

import dataclasses
import math

import numpy as np

from data_pipelines.sources.cctv_people import FAR, NEAR, pose

# The colour of shadows, BGR.
_SHADOW = (92.0, 95.0, 98.0)

_WHITE, _NONE = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)

# Fractional bits of polygon corners in OpenCV's drawing functions.
_SHIFT = 4


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera that looks across a street, as a pinhole.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
        zoom: Pixels per metre at a distance of one metre, in heights of the frame.
        raised: Height of the camera above the ground in metres.
        horizon: Where the horizon lies, from the top, in heights of the frame.
        flow: 1 where x grows to the right, -1 where it grows to the left.
    """

    height: int
    width: int
    zoom: float = 1.5
    raised: float = 3.2
    horizon: float = 0.18
    flow: int = 1

    @property
    def focal(self):
        """Pixels per metre at a distance of one metre."""
        return self.zoom * self.height

    def scale(self, z):
        """Pixels per metre at distance `z`."""
        return self.focal / z

    def project(self, x, z):
        """Returns column and row of a point on the ground."""
        scale = self.scale(z)
        column = self.width / 2 + self.flow * scale * x
        return column, self.horizon * self.height + scale * self.raised

    def half_view(self, z):
        """Metres from the middle of the view at `z` to where nobody is seen any more."""
        return self.width / 2 / self.scale(z) + 1.0


def draw_background(rng, camera, windows=0.19, plants=(-0.04, 0.88)):
    """Paints what stands still: a building, the pavement in perspective, kerb and plants.

    Args:
        rng: `numpy.random.Generator`.
        camera: `Camera`.
        windows: From one window to the next, in widths of the frame.
        plants: Where plants begin, in widths of the frame.

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
    for left in np.arange(0.06, 0.95, windows) * width:
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
    for left in plants:
        leaves = rng.normal([(left + 0.08) * width, foot * 0.92], [0.05 * width, 0.06 * height],
                            (160, 2))
        for x, y in leaves:
            green = rng.uniform(35, 115)
            cv2.circle(scene, (int(x), int(y)), max(1, height // 60),
                       (green * 0.55, green, green * 0.6), -1, cv2.LINE_AA)
    texture = cv2.GaussianBlur(rng.normal(0, 9, (height, width)).astype(np.float32), (0, 0), 0.8)
    return np.clip(scene + texture[..., None], 0, 255).astype(np.uint8)


class Figure:
    """A mover as it is seen over the frames of a video, worked out for all of them at once.

    Args:
        camera: `Camera`.
        mover: `Mover`.
        seconds: Time of each frame, float `(frames,)`, ascending.

    Attributes:
        mover: `Mover`.
        first: Number of the first frame in which it is drawn.
        last: Number of the last one; below `first` where there is none.
    """

    def __init__(self, camera, mover, seconds):
        self.mover = mover
        self.first = int(np.searchsorted(seconds, mover.start_sec))
        self.last = int(np.searchsorted(seconds, mover.end_sec, side="right")) - 1
        seconds = seconds[self.first : self.last + 1]
        x, self._z = mover.position(seconds)
        scale = camera.scale(self._z)
        foot = np.stack(camera.project(x, self._z), axis=-1)
        side = np.stack([camera.flow * math.copysign(1.0, mover.speed) * scale, -scale], axis=-1)
        quads, self._colours, circles = pose(mover, x)
        self._quads = _fixed(foot[:, None, None] + quads * side[:, None, None])
        self._feet = _fixed(foot).tolist()
        self._shadows = _fixed(np.stack([0.32 * scale, 0.08 * scale], axis=-1)).tolist()
        low, high = self._quads.min((1, 2)), self._quads.max((1, 2))
        self._circles = {}
        for place, found in circles.items():
            for at, radius, line, colour in found:
                centres = foot + np.stack(np.broadcast_arrays(*at, x)[:2], axis=-1) * side
                centres, sizes = _fixed(centres), (radius * scale * (1 << _SHIFT)).astype(int)
                lines = np.full(len(x), -1)
                if line is not None:
                    lines = np.maximum(1, np.round(line * scale)).astype(int)
                reach = (sizes + (np.maximum(lines, 0) << _SHIFT))[:, None]
                low = np.minimum(low, centres - reach)
                high = np.maximum(high, centres + reach)
                self._circles.setdefault(place, []).append(
                    (centres.tolist(), sizes.tolist(), lines.tolist(), colour)
                )
        self._extents = np.hstack([(low >> _SHIFT) - 1, (high >> _SHIFT) + 3]).tolist()

    def z(self, number):
        """Distance from the camera in metres."""
        return self._z[number - self.first]

    def foot(self, number):
        """Column and row of the point on the ground, whole pixels."""
        column, row = self._feet[number - self.first]
        return column >> _SHIFT, row >> _SHIFT

    def extent(self, number):
        """First column and row that the figure may touch, and the first behind it."""
        return self._extents[number - self.first]

    def draw_shadow(self, image, number, light=_WHITE, haze=_NONE):
        """Draws the shadow into an image, uint8 `(height, width, 3)`; the rest is as of `draw`."""
        import cv2

        at = number - self.first
        cv2.ellipse(image, self._feet[at], self._shadows[at], 0, 0, 360,
                    _in_light(_SHADOW, light, haze), -1, cv2.LINE_AA, _SHIFT)

    def draw(self, image, number, light=_WHITE, haze=_NONE, corner=(0, 0), value=None):
        """Draws the figure into an image.

        Args:
            image: uint8 `(height, width, channels)`, drawn into; of 4 channels the last becomes
                how much of a pixel is covered, 0 to 255.
            number: Of the frame.
            light: What the light leaves of its colours, `(3,)`.
            haze: Colour that is added to them, `(3,)`.
            corner: Column and row of the frame that are the image's first.
            value: `None`; or the value of all its pixels, without soft edges: then `image` is
                uint8 `(height, width)`.
        """
        import cv2

        at = number - self.first
        left, top = corner[0] << _SHIFT, corner[1] << _SHIFT
        quads, line_type = self._quads[at], cv2.LINE_AA if value is None else cv2.LINE_8
        if left or top:
            quads = quads - np.array((left, top), np.int32)
        for place in range(len(quads) + 1):
            for centres, sizes, lines, colour in self._circles.get(place, ()):
                column, row = centres[at]
                colour = _in_light(colour, light, haze) if value is None else value
                cv2.circle(image, (column - left, row - top), sizes[at], colour, lines[at],
                           line_type, _SHIFT)
            if place < len(quads):
                colour = self._colours[place]
                colour = _in_light(colour, light, haze) if value is None else value
                cv2.fillConvexPoly(image, quads[place], colour, line_type, _SHIFT)


def draw_people(frame, figures, number, ids):
    """Draws people into a frame, those farther away first, so that nearer ones hide them.

    Args:
        frame: uint8 `(height, width, 3)`, BGR, drawn into.
        figures: List of the `Figure`s that are in view.
        number: Of the frame.
        ids: uint8 `(height, width)` of zeros, set to 1 and the place in `figures` of who is seen;
            or `None`.
    """
    for place in far_to_near(figures, number):
        figures[place].draw_shadow(frame, number)
        figures[place].draw(frame, number)
        if ids is not None:
            figures[place].draw(ids, number, value=place + 1)


def far_to_near(figures, number):
    """Returns the places of figures in their list in the order in which they are drawn."""
    return sorted(range(len(figures)), key=lambda place: -figures[place].z(number))


def _in_light(colour, light, haze):
    return (colour[0] * light[0] + haze[0], colour[1] * light[1] + haze[1],
            colour[2] * light[2] + haze[2], 255.0)  # fmt: skip


def _fixed(points):
    return np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)
