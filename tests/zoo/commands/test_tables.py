"""Tables of figures: that every number stands under its title."""

from zoo.commands import tables
from zoo.evaluation import prediction


def summary(accuracy, error=None):
    return {"accuracy": accuracy, "standard_error": error, "draws": 3}


def probes(accuracy):
    found = {
        "accuracy": accuracy,
        "few_labels": {"1": summary(accuracy / 2, 0.0125)},
        "few_people": {"1": summary(accuracy / 4), "2": summary(accuracy / 3, 0.25)},
    }
    return {"linear_probe": found, "nearest_neighbours": {**found, "accuracy": 0.125}}


def test_the_figures_are_those_of_the_evaluation():
    assert tables.PREDICTION == prediction.FIGURES


def test_anomaly_rows_have_a_dash_where_there_is_no_figure():
    figures = dict.fromkeys(tables.ANOMALY, 0.5) | {"eer_live": None}
    assert tables.anomaly_rows({"mine": figures}) == [
        ("", *(name.replace("_", " ") for name in tables.ANOMALY)),
        ("mine", "0.500", "-", *["0.500"] * (len(tables.ANOMALY) - 2)),
    ]


def test_prediction_rows_have_as_many_digits_as_count():
    figures = {
        "mse": 0.01234567, "mae": 0.1, "mse_per_frame": 50.678, "mae_per_frame": 400,
        "psnr": 21.239, "ssim": 0.87654, "sharpness": 17.501,
    }  # fmt: skip
    titles, row = tables.prediction_rows({"mine": figures})
    assert titles[1:] == (
        "mse", "mae", "mse per frame", "mae per frame", "psnr", "ssim", "sharpness",
    )  # fmt: skip
    assert row == ("mine", "0.0123", "0.1000", "50.7", "400.0", "21.24", "0.8765", "17.50")


def test_representation_rows_tell_features_apart_only_where_they_are():
    measured = {
        "same": {"encode": probes(0.75), "features": probes(0.75)},
        "other": {"encode": probes(0.75), "features": probes(0.5)},
        "motion energy": probes(0.25),
        "random weights": {"encode": probes(0.5), "features": probes(0.5), "seeds": [0, 1, 2]},
    }
    titles, *rows = tables.representation_rows(measured)
    assert titles == ("", "all labels", "1 a class", "1 person", "2 people")
    assert rows[0] == ("same: linear probe", "0.750", "0.375±0.013", "0.188", "0.250±0.250")
    assert [row[0] for row in rows] == [
        f"{name}: {probe}"
        for name in ("same", "other, encode", "other, features", "motion energy", "random weights")
        for probe in ("linear probe", "nearest neighbours")
    ]
    assert rows[4][1] == "0.500" and rows[1][1] == "0.125"
