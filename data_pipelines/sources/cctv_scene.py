"""What one camera of an archive of `synthetic_cctv` sees: its street by day, by night, in weather.

It is drawn a little larger than the picture, so that the wind can shift the picture within it.
"""

import dataclasses

import numpy as np

from data_pipelines.sources import cctv_day
from data_pipelines.sources.cctv_drawing import Camera, draw_background, far_to_near
from data_pipelines.sources.cctv_people import FAR

# How much light is left at night, and how much a lamp adds under it, BGR.
_NIGHT = np.array([0.17, 0.15, 0.14], np.float32)
_LAMP = np.array([0.50, 0.62, 0.70], np.float32)

# Standard deviation of the sensor's noise in grey levels, by day and at night.
_NOISE = (3.0, 6.0)

# How much light weather of full strength takes, and the grey of fog.
_DIMMED, _FOG = {"clear": 0.0, "rain": 0.35, "fog": 0.1, "snow": 0.15}, 185.0

# Metres in which thick fog takes most of what is seen.
_SIGHT = 12.0

_NO_HAZE = (0.0, 0.0, 0.0)

# Metres from the ground to a lamp.
_POST = 4.5


@dataclasses.dataclass(frozen=True)
class Look:
    """The street as it looks at one time.

    Attributes:
        street: uint8 `(rows, columns, 3)`, BGR, without people.
        light: float32 `(rows, columns, 3)`, what the light leaves of a colour.
        fog: How thick it is, 0 to 1.
        fog_colour: float32 `(3,)`.
        noise: int16 `(2 * height, 2 * width, 3)`, of which each frame has a part.
        falling: uint8 like `noise`, what falls, or `None`.
        fall: Pixels that it falls and drifts from frame to frame.
    """

    street: np.ndarray
    light: np.ndarray
    fog: float
    fog_colour: np.ndarray
    noise: np.ndarray
    falling: np.ndarray | None
    fall: tuple


class Scene:
    """One camera of an archive.

    Args:
        plan: `cctv_plan.Plan`.
        number: Of the camera.

    Attributes:
        view: `Camera` of the larger picture.
        margin: Pixels on each side by which it is larger.
    """

    def __init__(self, plan, number):
        rng = plan.draws("scene", number)
        height, width = plan.size
        self.plan, self.number, self.margin = plan, number, cctv_day.margin(height)
        raised = rng.uniform(2.8, 4.0)
        self.view = Camera(
            height + 2 * self.margin, width + 2 * self.margin,
            zoom=4.8 / raised * rng.uniform(0.92, 1.0), raised=raised,
            horizon=rng.uniform(0.14, 0.2), flow=int(rng.choice([-1, 1])),
        )  # fmt: skip
        tint = rng.uniform(0.8, 1.0, 3).astype(np.float32)
        street = draw_background(
            rng, self.view, windows=rng.uniform(0.13, 0.35), plants=rng.uniform(-0.1, 0.95, 2)
        )
        self._street = street.astype(np.float32) * tint
        self._lamps = self._lit_by_lamps(rng)
        # What stands on a row of the ground is so far away; the wall is behind all of it.
        down = np.maximum(1e-3, np.arange(self.view.height) - self.view.horizon * self.view.height)
        distance = np.minimum(FAR + 2.5, self.view.focal * self.view.raised / down)
        self._hidden = _hidden(distance).astype(np.float32)[:, None, None]
        field = np.tile(rng.normal(0, 1, (height, width, 1)).astype(np.float32), (2, 2, 3))
        self._noise = [
            np.rint(sigma * field).astype(np.int16) for sigma in np.linspace(*_NOISE, 7)
        ]
        self._falling = {kind: _falling(rng, kind, height, width) for kind in ("rain", "snow")}

    def look(self, second):
        """Returns the `Look` at a second of the archive."""
        import cv2

        day = cctv_day.daylight(self.plan, second / 60)
        kind, strength = cctv_day.weather(self.plan, second / 60)
        sky = day * cctv_day.drift(self.plan, self.number, second)
        sky *= 1.0 - _DIMMED[kind] * strength
        ambient = sky + (1.0 - day) * _NIGHT
        light = np.broadcast_to(ambient.astype(np.float32), self._street.shape)
        if day < 1.0:
            light = np.minimum(1.0, light + np.float32(1.0 - day) * self._lamps)
        fog, fog_colour = (strength if kind == "fog" else 0.0), np.float32(_FOG * ambient)
        street = self._street * light
        if fog:
            street += np.float32(fog) * self._hidden * (fog_colour - street)
        falling, fall = self._falling.get(kind, (None, (0, 0)))
        if falling is not None:
            falling = cv2.convertScaleAbs(falling, alpha=strength * (0.35 + 0.65 * day))
        return Look(
            (street + np.float32(0.5)).astype(np.uint8), light, fog, fog_colour,
            self._noise[round((1.0 - day) * (len(self._noise) - 1))], falling, fall,
        )  # fmt: skip

    def draw(self, figures, number, look, ids):
        """Draws the street with people in it.

        Args:
            figures: List of the `Figure`s that are in view.
            number: Of the frame, as they count.
            look: `Look`.
            ids: uint8 `(rows, columns)` of zeros, set to 1 and the place in `figures` of who is
                seen.

        Returns:
            uint8 `(rows, columns, 3)`, BGR, with the margin.
        """
        picture = look.street.copy()
        for place in far_to_near(figures, number):
            self._draw_figure(picture, figures[place], number, look, ids, place + 1)
        return picture

    def _draw_figure(self, picture, figure, number, look, ids, value):
        import cv2

        rows, columns = picture.shape[:2]
        left, top, right, bottom = figure.extent(number)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)
        if x0 >= x1 or y0 >= y1:
            return
        column, row = figure.foot(number)
        light = look.light[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]
        haze = _NO_HAZE
        if look.fog:
            fog = look.fog * float(_hidden(figure.z(number)))
            light, haze = light * (1.0 - fog), (look.fog_colour * fog).tolist()
        light = light.tolist()
        figure.draw_shadow(picture, number, light, haze)
        drawn = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
        figure.draw(drawn, number, light, haze, corner=(x0, y0))
        # On black the soft edges are darker by what shows through there.
        cover = cv2.extractChannel(drawn, 3)
        through = cv2.cvtColor(cv2.bitwise_not(cover), cv2.COLOR_GRAY2BGR)
        part = picture[y0:y1, x0:x1]
        behind = cv2.multiply(part, through, scale=1 / 255)
        part[...] = cv2.add(behind, cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR))
        ids[y0:y1, x0:x1][cover >= 128] = value

    def _lit_by_lamps(self, rng):
        import cv2

        view = self.view
        rows, columns = np.mgrid[: view.height, : view.width].astype(np.float32)
        lit = np.zeros((view.height, view.width), np.float32)
        z = FAR + 1.0
        for x in np.arange(rng.uniform(-7.0, -3.0), 9.0, rng.uniform(5.0, 7.0)):
            column, foot = view.project(x, z)
            scale = view.scale(z)
            head = foot - _POST * scale
            cv2.line(self._street, (round(column), round(foot)), (round(column), round(head)),
                     (60, 62, 60), max(1, round(0.1 * scale)))
            # A pool of light on the ground in front, and the lamp itself.
            for at, wide, high in ((foot + 0.12 * view.height, 4.0, 2.4), (head, 0.6, 0.6)):
                lit += np.exp(-np.square((columns - column) / (wide * scale))
                              - np.square((rows - at) / (high * scale)))
        return np.minimum(1.0, lit)[..., None] * _LAMP


def _hidden(distance):
    return 1.0 - np.exp(-np.asarray(distance) / _SIGHT)


def _falling(rng, kind, height, width):
    """A field of rain or snow, and the pixels that it falls and drifts between frames."""
    import cv2

    field = np.zeros((height, width), np.uint8)
    for x, y, size in zip(rng.integers(0, width, height), rng.integers(0, height, height),
                          rng.uniform(0.5, 1.0, height), strict=True):  # fmt: skip
        if kind == "rain":
            end = (int(x + 0.02 * height * size), int(y + 0.10 * height * size))
            cv2.line(field, (int(x), int(y)), end, 70 * size, 1, cv2.LINE_AA)
        else:
            cv2.circle(field, (int(x), int(y)), max(0, round(0.006 * height * size)),
                       190 * size, -1, cv2.LINE_AA)
    fall = (0.83, 0.17) if kind == "rain" else (0.045, 0.012)
    return np.tile(field[..., None], (2, 2, 3)), tuple(round(part * height) for part in fall)
