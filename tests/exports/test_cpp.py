"""The example in C++: built by CMake, it scores a video as the model does."""

import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_pipelines import clips, transforms

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "cpp"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if not shutil.which("cmake") or not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("no CMake or no compiler of C++ here")
    folder = tmp_path_factory.mktemp("build")
    tensorflow = distribution("tensorflow").locate_file("tensorflow")
    configure = ["cmake", "-S", str(SOURCE), "-B", str(folder), f"-DTENSORFLOW={tensorflow}"]
    done = subprocess.run(configure, capture_output=True, text=True)
    if "OpenCVConfig.cmake" in done.stderr:
        pytest.skip("no OpenCV for C++ here")
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["cmake", "--build", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "score_video"


def run(program, *words):
    return subprocess.run([str(program), *map(str, words)], capture_output=True, text=True)


def scores(done):
    return [float(line.split(",")[1]) for line in done.stdout.split()]


@pytest.fixture
def film(tmp_path):
    """A function that writes coloured frames without loss; gives the path and the frames."""

    def write(fps, size=(32, 48), frames=24):
        path = tmp_path / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), fps, size[::-1])
        ground = np.random.default_rng(0).integers(0, 200, (*size, 3), np.uint8)
        for number in range(frames):
            frame = ground.copy()
            frame[8:20, number : number + 12] = 230
            writer.write(frame)
        writer.release()
        reader = cv2.VideoCapture(str(path))
        return path, [reader.read()[1] for _ in range(frames)]

    return write


@pytest.mark.parametrize("fps", [10, 25])
def test_scores_are_those_of_the_model(program, film, exported, model, fps):
    path, frames = film(fps)
    done = run(program, exported, path)
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in done.stdout.split()]
    taken = clips.frame_indices(len(frames), float(fps), clips.ClipSpec(fps=model.fps))
    assert [int(number) for number, _ in rows] == list(taken)
    grey = np.stack([cv2.cvtColor(frames[number], cv2.COLOR_BGR2GRAY) for number in taken])
    expected = model.score(transforms.to_float(grey[None, ..., None]))[0]
    np.testing.assert_allclose(scores(done), expected, atol=1e-4 * np.max(expected))


@pytest.mark.parametrize("size", [(36, 50), (100, 131), (24, 120)])
def test_another_size_is_brought_to_one_that_fits_as_in_training(
    program, film, exported, model, size
):
    path, frames = film(10, size=size)
    if size[0] % 8:
        done = run(program, exported, path)
        assert done.returncode == 1 and "must be divisible by 8" in done.stderr
    done = run(program, exported, path, 32, 48)
    assert done.returncode == 0, done.stderr
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])[..., None]
    brought = transforms.resize(grey, (32, 48))
    # A level on the edge between two bytes may fall to either side.
    expected = model.score(transforms.to_float(brought)[None])[0]
    np.testing.assert_allclose(scores(done), expected, atol=2e-3 * np.max(expected))


@pytest.mark.parametrize("words, said", [
    (["EXPORT", "nowhere.avi"], "nowhere.avi cannot be opened as a video"),
    (["nowhere", "FILM"], "nowhere is no export"),
])  # fmt: skip
def test_what_is_not_there_is_named(program, film, exported, words, said):
    places = {"EXPORT": exported, "FILM": film(10)[0]}
    done = run(program, *(places.get(word, word) for word in words))
    assert done.returncode == 1 and said in done.stderr
    assert run(program).returncode == 2
