"""What the outputs of a model are."""

import keras


def last_activation(model: keras.Model) -> str | None:
    """Name of the activation that gives a model's output, where the model's graph tells it.

    Only what the output comes from counts: operations that are no layers may stand behind the last
    layer.
    """
    operation = model
    while isinstance(operation, keras.Sequential) or type(operation).__name__ == "Functional":
        operation = operation.outputs[0]._keras_history.operation
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(operation, "activation", None), "__name__", None)


def logits_alone(model: keras.Model) -> keras.Model:
    """The model to save: images to logits."""
    return keras.Model(model.input, model.output["logits"], name=model.name)
