import keras
import pytest

from zoo.training import precision
from zoo.training.precision import choose_precision


@pytest.mark.parametrize(
    ("flags", "gpus", "expected"),
    [
        ({"avx2", "amx_bf16"}, [], "mixed_bfloat16"),
        ({"avx2", "avx512_bf16"}, [], "mixed_bfloat16"),
        ({"avx2", "avx512f"}, [], "float32"),
        (set(), [], "float32"),
        (set(), [(9, 0)], "mixed_bfloat16"),
        (set(), [(8, 0)], "mixed_bfloat16"),
        (set(), [(7, 5)], "mixed_float16"),
        (set(), [(6, 1)], "float32"),
        # A GPU decides, not the processor beside it; and the oldest of several.
        ({"amx_bf16"}, [(6, 1)], "float32"),
        (set(), [(9, 0), (7, 0)], "mixed_float16"),
        (set(), [None], "float32"),
    ],
)
def test_auto_looks_at_the_units_of_the_machine(flags, gpus, expected):
    assert choose_precision("auto", cpu_flags=flags, compute_capabilities=gpus) == expected


def test_auto_reads_the_flags_of_this_processor(monkeypatch):
    monkeypatch.setattr(precision, "_compute_capabilities", lambda: [])
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"amx_bf16"})
    assert choose_precision() == "mixed_bfloat16"
    monkeypatch.setattr(precision, "_cpu_flags", lambda: {"sse2"})
    assert choose_precision() == "float32"


def test_flags_are_those_of_the_system(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu amx_bf16 sse2\n")
    monkeypatch.setattr(precision, "Path", lambda path: cpuinfo)
    monkeypatch.setattr(precision.platform, "system", lambda: "Linux")
    assert precision._cpu_flags() == {"fpu", "amx_bf16", "sse2"}
    monkeypatch.setattr(precision.platform, "system", lambda: "Darwin")
    assert precision._cpu_flags() == frozenset()


@pytest.mark.parametrize("name", precision.POLICIES)
def test_a_name_is_kept_and_is_one_of_keras(name):
    assert choose_precision(name, cpu_flags=set(), compute_capabilities=[]) == name
    assert keras.dtype_policies.get(name).name == name


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`precision` must be one of auto, .*precision=half"):
        choose_precision("half")
