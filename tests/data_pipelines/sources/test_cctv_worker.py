import subprocess
import sys

import pytest

import data_pipelines
from data_pipelines.sources import cctv_archive, cctv_worker

# After its own work says whether TensorFlow came in.
PROGRAM = (
    "import runpy, sys; runpy.run_path(sys.argv[1])['main'](*sys.argv[2:]); "
    "print('tensorflow' in sys.modules, 'data_pipelines.sources.cctv_archive' in sys.modules)"
)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """An archive of which not a file is made yet."""
    def fail(directory, plan, name):
        raise OSError(name)

    monkeypatch.setattr(cctv_archive, "make_file", fail)
    with pytest.raises(OSError, match="train/camera0/000"):
        cctv_archive.make_archive(tmp_path / "a", cameras=1, train_hours=1 / 60, test_hours=0,
                                  size=(48, 64), fps=1, workers=1)
    return tmp_path / "a"


def test_it_makes_the_file_without_tensorflow_or_the_callers_path(begun, tmp_path):
    said = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, cctv_worker.__file__, str(begun),
         "train/camera0/000"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert said.stdout == "False True\n"
    (begun / "scene.unfinished.json").rename(begun / "scene.json")
    (video,) = data_pipelines.open_source(begun).videos
    assert len(list(video.frames())) == 60 == len(video.frame_labels())
