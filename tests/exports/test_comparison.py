import numpy as np
import pytest
from sklearn.decomposition import PCA

from exports import comparison


def test_pixels_lie_as_rows_whatever_the_size_and_length():
    ramp = np.linspace(0, 255, 20 * 64 * 64).astype(np.uint8).reshape(20, 64, 64, 1)
    rows = comparison.pixel_rows([ramp[:16], ramp[:5], ramp[:16, :32, :48]])
    assert rows.shape == (3, 16 * 64 * 64) and rows.dtype == np.float32
    np.testing.assert_allclose(rows[0], ramp[:16].reshape(-1) / 255, rtol=1e-6)
    # Five frames are spread over sixteen places: the first and the last stay where they are.
    np.testing.assert_allclose(rows[1].reshape(16, 4096)[-1], ramp[4].reshape(-1) / 255, rtol=1e-6)


def test_the_space_of_the_rows_keeps_their_distances_and_components():
    rows = np.random.default_rng(0).random((12, 500), dtype=np.float32)
    small = comparison.same_distances(rows)
    assert small.shape == (12, 12)

    def distances(x):
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    np.testing.assert_allclose(distances(small), distances(rows), atol=1e-3)
    train, test = comparison.pixel_pca(small[:9], small[9:], components=3)
    expected = PCA(3).fit(rows[:9])
    np.testing.assert_allclose(np.abs(train), np.abs(expected.transform(rows[:9])), atol=1e-2)
    np.testing.assert_allclose(np.abs(test), np.abs(expected.transform(rows[9:])), atol=1e-2)
    many = np.zeros((40, 8), np.float32)
    assert comparison.same_distances(many) is many


def test_pca_takes_no_more_components_than_windows_span():
    train, test = comparison.pixel_pca(np.random.rand(100, 200), np.random.rand(7, 200))
    assert train.shape == (100, 64) and test.shape == (7, 64)
    assert comparison.pixel_pca(np.random.rand(6, 200), np.random.rand(2, 200))[1].shape == (2, 5)


@pytest.mark.parametrize("size", [(64, 64), (48, 72), (16, 16)])
def test_motion_energy_is_the_mean_difference_in_each_cell(size):
    window = np.random.default_rng(0).integers(0, 256, (5, *size, 3), np.uint8)
    change = np.abs(np.diff(window.astype(float), axis=0)).mean(axis=(0, 3)) / 255
    expected = np.zeros((16, 16))
    for row in range(16):
        for column in range(16):
            rows = slice(row * size[0] // 16, (row + 1) * size[0] // 16)
            columns = slice(column * size[1] // 16, (column + 1) * size[1] // 16)
            expected[row, column] = change[rows, columns].mean()
    energy = comparison.motion_energy([window, window[:, ::-1]])
    assert energy.shape == (2, 256) and energy.dtype == np.float32
    np.testing.assert_allclose(energy[0].reshape(16, 16), expected, rtol=1e-5)
    assert np.abs(energy[0] - energy[1]).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 64, 64, 1), (4, 8, 64, 1)])
def test_motion_energy_names_windows_that_are_too_small(shape):
    with pytest.raises(ValueError, match="windows of 2 frames and 16x16 pixels or more"):
        comparison.motion_energy([np.zeros(shape, np.uint8)])
