"""The devices a model trains on."""

DISTRIBUTIONS = ("auto", "one_device", "mirrored")


def choose_strategy(distribution="auto"):
    """Gives the `tf.distribute` strategy to build and compile a model under.

    `"auto"` mirrors the model over all GPUs where there are several, or over all logical CPU
    devices where several have been configured, and uses one device otherwise. The batch of a
    data set is the whole batch: a mirrored strategy splits it over its replicas.

    Args:
        distribution: `"auto"`, `"one_device"` or `"mirrored"`.

    Returns:
        `tf.distribute.Strategy`; for one device TensorFlow's default one, whose scope does nothing.

    Raises:
        ValueError: if `distribution` is no known name.

    Example:
        >>> strategy = choose_strategy("one_device")
        >>> strategy.num_replicas_in_sync
        1
    """
    import tensorflow as tf

    check_distribution(distribution)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if distribution == "mirrored" or (distribution == "auto" and len(devices) > 1):
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def check_distribution(distribution):
    """Refuses a name that `choose_strategy` does not know; TensorFlow is not loaded.

    Raises:
        ValueError: if it is none.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(
            f"`distribution` must be one of {', '.join(DISTRIBUTIONS)}. "
            f"Received: distribution={distribution}"
        )
