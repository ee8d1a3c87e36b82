import datetime

import pytest

from data_pipelines.sources.dated_names import moment_in


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("gate/2024-05-01_08-30.mp4", (datetime.datetime(2024, 5, 1, 8, 30), True)),
        ("20240501T083005", (datetime.datetime(2024, 5, 1, 8, 30, 5), True)),
        ("2024-05-01/20240502.mp4", (datetime.datetime(2024, 5, 2), False)),
        # No such minute: the day is told, and the time of it is not.
        ("2024-05-01_0875", (datetime.datetime(2024, 5, 1), False)),
        ("2024-13-01", None),
        ("gate_0001", None),
    ],
)
def test_the_last_date_is_found_with_its_time_of_day(name, moment):
    assert moment_in(name) == moment
