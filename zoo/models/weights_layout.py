"""Which structure a file of weights is of, written into it and read before Keras does.

A model class counts the versions of its structure in `layout`. Weights of another one would not
fit, or would fit and mean something else; here that is said in a sentence.
"""

import pathlib

ATTRIBUTES = ("model", "layout", "zoo_version")


class LayoutError(ValueError):
    """Weights are of another model, or of another structure of it."""


def modified(path):
    """When a local file was last written, in nanoseconds, or None where there is none."""
    path = pathlib.Path(path)
    return path.stat().st_mtime_ns if path.is_file() else None


def note_layout(path, model):
    """Writes into a `.weights.h5` file what it is of.

    Args:
        path: The file, written by Keras.
        model: The model that its weights are of.
    """
    import h5py

    from zoo import __version__

    values = (type(model).__name__, model.layout, __version__)
    with h5py.File(path, "r+") as file:
        for name, value in zip(ATTRIBUTES, values, strict=True):
            file.attrs[name] = value


def check_file_layout(path, model):
    """Checks that a file of weights is of the structure that a model has now.

    A file that says nothing is of the first layout, as all are that Keras wrote by itself.

    Args:
        path: A `.weights.h5` file.
        model: The model that its weights are for.

    Raises:
        LayoutError: If it is of another model or another layout.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            name, layout, version = (file.attrs.get(attribute) for attribute in ATTRIBUTES)
    except OSError:
        return  # No such file, or none of HDF5: Keras says so.
    # Weights of a class fit those that are made from it.
    known = {parent.__name__ for parent in type(model).__mro__}
    if name is not None and name not in known:
        raise LayoutError(
            f"The weights in {path} do not fit {type(model).__name__}: they are of {name}"
        )
    check_layout(type(model), 1 if layout is None else int(layout), path, version)


def check_layout(model_class, layout, origin, version=None):
    """Checks a layout that a file or a configuration says it is of.

    Raises:
        LayoutError: If it is not the one of the class.
    """
    if layout == model_class.layout:
        return
    written = f" written by version {version} of the zoo" if version else ""
    advice = (
        "train again, or use the version of the zoo that it is of"
        if layout < model_class.layout
        else "a newer version of the zoo is needed"
    )
    raise LayoutError(
        f"{origin} must be of layout {model_class.layout} of {model_class.__name__}, the one of "
        f"this version. Received: layout {layout}{written}; {advice}"
    )
