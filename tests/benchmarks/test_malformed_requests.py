"""Malformed requests: each gets the code that TensorFlow Serving's source gives for it.

Each kind in each way once, of those that `benchmarks/malformed_requests.py` sends in hundreds.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from exports.server import Server

pytest.importorskip("tensorflow_serving.apis")
EXPORTS = Path(__file__).resolve().parents[1] / "exports"


def of_exports(name):
    spec = importlib.util.spec_from_file_location(f"of_exports_{name}", EXPORTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def attack(script, tmp_path_factory):
    import exports

    folder = tmp_path_factory.mktemp("exports") / "door"
    version = exports.export(of_exports("conftest").Brightness(), folder, rollout_steps=2)
    with Server(folder, grpc_port=0, rest_port=0) as server:
        bench = script("malformed_requests")
        yield bench.Attack(version, server.grpc_port, server.rest_port, "door")


def test_the_codes_expected_are_those_of_the_table(script):
    bench, given = script("malformed_requests"), of_exports("test_server").GIVEN
    expected = {kind: (code, status) for kind, (_, code, status) in bench.ASKS.items()}
    expected |= {kind: (code, None) for kind, (_, code) in bench.MESSAGES.items()}
    expected |= {kind: (None, status) for kind, (_, status) in bench.BODIES.items()}
    assert expected == {kind: (code, status) for kind, (code, status, _) in given.items()}
    assert all(source for *_, source in given.values())


def test_each_kind_gets_its_code_and_the_good_request_its_answer(attack):
    wrong = []
    for number in range(len(attack.cases)):
        kind, way, expected, got = attack.run(number, seed=1)
        if got != expected:
            wrong.append(f"{kind}, {way}: {got} instead of {expected}")
    assert wrong == []
    np.testing.assert_array_equal(attack.ask_good(), attack.expected_answer)
