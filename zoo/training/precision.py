"""The numerical precision that this machine trains fastest in without losing the training."""

import platform
from pathlib import Path

BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def choose_precision(precision="auto", *, cpu_flags=None, compute_capabilities=None):
    """Names the Keras dtype policy to train in.

    `"auto"` looks at what the machine has units for, not at the kind of device: on a processor
    without bf16 units `mixed_bfloat16` trains 3 to 15 times slower than float32.

    - A GPU of compute capability 8 or more: `mixed_bfloat16`.
    - An older GPU of 7 or more: `mixed_float16`, which Keras trains with loss scaling.
    - No GPU, a processor with the flag `amx_bf16` or `avx512_bf16`: `mixed_bfloat16`. On two cores
      with vector units alone (the latter) `foresight` and `convlstm_vae` trained 1.4 and 1.5 times
      as fast as in float32.
    - Anything else: `float32`.

    Args:
        precision: `"auto"`, `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        cpu_flags: collection of str, flags of the processor; None reads those of this machine.
        compute_capabilities: list of (major, minor) of the GPUs, None for one that does not
            tell; by default (None) those of this machine.

    Returns:
        str, a name that `keras.dtype_policies.get` takes.

    Raises:
        ValueError: if `precision` is no known name.

    Example:
        >>> choose_precision("auto", cpu_flags={"avx2"}, compute_capabilities=[])
        'float32'
    """
    check_precision(precision)
    if precision != "auto":
        return precision
    if compute_capabilities is None:
        compute_capabilities = _compute_capabilities()
    if compute_capabilities:
        # Replicas step together, so the oldest GPU decides.
        oldest = min(capability or (0, 0) for capability in compute_capabilities)
        if oldest >= (8, 0):
            return "mixed_bfloat16"
        return "mixed_float16" if oldest >= (7, 0) else "float32"
    if cpu_flags is None:
        cpu_flags = _cpu_flags()
    return "mixed_bfloat16" if BF16_FLAGS.intersection(cpu_flags) else "float32"


def check_precision(precision):
    """Refuses a name that `choose_precision` does not know; TensorFlow is not loaded.

    Raises:
        ValueError: if it is none.
    """
    if precision not in ("auto", *POLICIES):
        known = ", ".join(("auto", *POLICIES))
        raise ValueError(f"`precision` must be one of {known}. Received: precision={precision}")


def _compute_capabilities():
    import tensorflow as tf

    return [
        tf.config.experimental.get_device_details(device).get("compute_capability")
        for device in tf.config.list_physical_devices("GPU")
    ]


def _cpu_flags():
    if platform.system() != "Linux":
        return frozenset()
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
