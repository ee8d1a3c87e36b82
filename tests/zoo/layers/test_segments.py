"""Cutting clips into segments and joining them again."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import cut_segments, join_segments, segment_count, segments_before

CLIP = np.arange(2 * 7 * 2 * 3, dtype="float32").reshape(2, 7, 2, 3, 1)


@pytest.mark.parametrize("time, count", [(1, 1), (4, 1), (5, 2), (7, 2)])
def test_segments_follow_one_another_and_join_again(time, count):
    clip = CLIP[:, :time]
    filled = np.concatenate([clip] + [clip[:, -1:]] * (4 * count - time), axis=1)
    expected = np.concatenate([filled[b, 4 * s : 4 * s + 4][None] for b in (0, 1)
                               for s in range(count)])  # fmt: skip
    assert segment_count(clip, 4) == count
    segments = cut_segments(clip, 4)
    np.testing.assert_array_equal(segments, expected)
    np.testing.assert_array_equal(join_segments(segments, clip), clip)


def test_time_may_be_free():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 2, 3, 1])], autograph=False)
    def there_and_back(clip):
        segments = cut_segments(clip, 4)
        assert segments.shape.as_list() == [None, 4, 2, 3, 1]
        return segments, join_segments(segments, clip)

    segments, again = there_and_back(CLIP)
    np.testing.assert_array_equal(segments, cut_segments(CLIP, 4))
    np.testing.assert_array_equal(again, CLIP)


def test_what_comes_before_never_crosses_from_clip_to_clip():
    values = np.arange(1, 13, dtype="float32").reshape(6, 2)  # two clips of three segments
    before = np.asarray(segments_before(tf.constant(values), 3))
    expected = np.stack([0 * values[0], values[0], values[1], 0 * values[0], values[3], values[4]])
    np.testing.assert_array_equal(before, expected)
