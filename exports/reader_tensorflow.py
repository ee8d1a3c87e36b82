"""Reads an export with TensorFlow's Python, for `isolated_reader`."""


def open_export(folder, interface):
    """Opens an export, as `isolated_reader.reader_module` says.

    Args:
        folder: Path of the version's folder.
        interface: Dict, the content of `interface.json`.
    """
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder)).signatures

    def signature(name, clips):
        def call(**inputs):
            given = {key: tf.constant(value) for key, value in inputs.items()}
            return {key: value.numpy() for key, value in signatures[name](**given).items()}

        return call

    return signature
