"""Which optimisers a model is trained with: one, as Keras knows it, or one for each side."""


def optimized_variables(model):
    """Names the attributes that hold the optimisers of a model, and what each trains.

    Args:
        model: a built `keras.Model`, compiled or not.

    Returns:
        dict from str to list of variables; of a model that says nothing of `optimized_variables`
        `{"optimizer": model.trainable_variables}`.

    Example:
        >>> list(optimized_variables(keras.Sequential([keras.layers.Dense(1)])))
        ['optimizer']
    """
    named = getattr(model, "optimized_variables", None)
    return {"optimizer": model.trainable_variables} if named is None else named
