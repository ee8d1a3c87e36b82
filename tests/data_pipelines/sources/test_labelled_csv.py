import numpy as np
import pytest

from data_pipelines import open_source
from data_pipelines.sources.labelled_csv import Segment, by_video


@pytest.fixture
def footage(tmp_path, write_video, write_images):
    """`long.avi` of 150 frames at 10 per second, `short.avi` of 20, and a folder of two images."""
    write_video(tmp_path / "long.avi", frames=150)
    write_video(tmp_path / "in" / "short.avi", frames=20)
    write_images(tmp_path / "stills", ["1.png", "2.png"], [1, 2])
    return tmp_path


def open_lines(folder, *lines):
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_source(path, kind="labelled_csv")


def test_clips_and_their_labels(footage):
    source = open_lines(
        footage, "path,label,group", "in/short.avi,walk,ann", "stills,run,",
        f"{footage}/long.avi,run,bob",
    )  # fmt: skip
    assert (source.kind, source.labels) == ("labelled_csv", ("run", "walk"))
    assert [(v.name, v.label, v.group, v.num_frames, v.line) for v in source.videos] == [
        ("in/short.avi", "walk", "ann", 20, 2),
        ("stills", "run", "stills", 2, 3),
        (f"{footage}/long.avi", "run", "bob", 150, 4),
    ]


def test_a_segment_is_that_part_of_the_video(footage):
    source = open_lines(
        footage, "label, path, begin, end", "walk, long.avi, 0, 8.0", "run,long.avi,2.5,4.2",
        "run,in/short.avi,,",
    )  # fmt: skip
    walk, run, all_of_it = source.videos
    whole = list(open_source(footage / "long.avi").videos[0].frames())
    # More than one block, from the start; a later part; and from within.
    for segment, frames in ((walk, whole[:80]), (run, whole[25:42])):
        assert np.array_equal(list(segment.frames()), frames)
        assert segment.num_frames == len(frames) and segment.fps == 10
    assert np.array_equal(list(walk.frames(70)), whole[70:80])
    assert (run.begin_sec, run.end_sec, run.group) == (2.5, 4.2, "long.avi")
    assert not isinstance(all_of_it, Segment) and all_of_it.num_frames == 20
    assert [(whole.name, len(parts)) for whole, parts in by_video(source)] == [("long.avi", 2)]


def test_every_bad_line_is_named_with_its_number(footage):
    (footage / "text.avi").write_text("no video")
    with pytest.raises(ValueError) as caught:
        open_lines(
            footage,
            "path,begin,end,label",
            "long.avi,1,2,walk",
            "gone.avi,,,walk",
            "long.avi,1,2,",
            "long.avi,2,2,walk",
            "long.avi,one,2,walk",
            "long.avi,3,,walk",
            "long.avi,14,17,walk",
            "stills,0,1,walk",
            "text.avi,,,walk",
            "long.avi,1",
            "long.avi,1,2,walk",
            "in/gone too.avi,,,walk",
        )
    text = str(caught.value)
    assert text.startswith(f"{footage / 'labels.csv'} has 11 of 12 lines that cannot be used: ")
    for part in (
        f"line 3 names a file that is not there: {footage / 'gone.avi'};",
        "line 4 has no label;",
        "line 5 must begin before it ends. Received: 2 to 2 s;",
        "line 6 must have begin in seconds from the start. Received: one;",
        "line 7 must have both begin and end, or neither;",
        "line 8 must lie within long.avi, of 15.00 s. Received: 14 to 17 s;",
        "line 9 has times, but nothing tells the frame rate of stills;",
        "line 10 ",
        "line 11 has another number of values than there are columns;",
        "line 12 is of the same part of it as line 2;",
        f"line 13 names a file that is not there: {footage / 'in' / 'gone too.avi'}",
    ):
        assert part in text
    assert "line 2 " not in text.replace("same as line 2;", "")


def test_of_very_many_bad_lines_the_first_are_named(footage):
    with pytest.raises(ValueError, match="line 21 names [^;]*; and 5 more$"):
        open_lines(footage, "path,label", *(f"gone{number}.avi,walk" for number in range(25)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must name the columns path, label .* Received: none"),
        ("path,class\nlong.avi,walk\n", "must name the columns .* Received: path, class"),
        ("path,label\n", "has no line below"),
        ('path,label\n"long.avi,walk\n', "is no CSV file of UTF-8 text"),
        (b"path,label\nl\xff,walk\n", "is no CSV file of UTF-8 text"),
    ],
)
def test_a_file_that_is_no_such_csv_is_named(tmp_path, content, message):
    path = tmp_path / "labels.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        open_source(path, kind="labelled_csv")
