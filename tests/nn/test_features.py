import keras
import numpy as np
import pytest

from bginv.nn.features import last_activation, network_digest, weights_digest

layers = keras.layers


def network(*front: layers.Layer) -> keras.Model:
    """Layers without weights, and a Dense one that is always the same."""
    dense = layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(0))
    return keras.Sequential([keras.Input((4, 4, 3)), *front, layers.Flatten(), dense])


def test_layers_without_weights_count_and_names_do_not(tmp_path):
    fronts = ([], [layers.Rescaling(255)], [layers.Rescaling(-1, 1)], [layers.ReLU()])
    models = [network(*front) for front in fronts]
    assert len({weights_digest(own) for own in models}) == 1
    digests = [network_digest(own) for own in models]
    assert len(set(digests)) == len(models)
    assert [network_digest(network(*front)) for front in fronts] == digests
    models[1].save(tmp_path / "m.keras")
    assert network_digest(keras.models.load_model(tmp_path / "m.keras")) == digests[1]
    models[1].trainable = False
    assert network_digest(models[1]) == digests[1]


def test_connections_count():
    image = keras.Input((4,))
    first, second = layers.Dense(4), layers.Dense(4)
    one, other = first(image), second(image)
    pairs = ([one, other], [other, one], [one, one])
    models = [keras.Model(image, layers.Concatenate()([*pair, other])) for pair in pairs]
    assert len({network_digest(own) for own in models}) == 3


def test_a_class_that_tells_nothing_is_known_by_its_weights():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3, kernel_initializer="ones")

        def call(self, images):
            return self.dense(images)

    one, other = Own(), Own()
    for model in (one, other):
        model(np.zeros((1, 4), np.float32))
    assert network_digest(one) == network_digest(other)
    other.dense.set_weights([2 * own for own in other.dense.get_weights()])
    assert network_digest(one) != network_digest(other)


@pytest.mark.parametrize(
    "ending, expected",
    [
        ([layers.Dense(2, activation="softmax")], "softmax"),
        ([layers.Dense(2), layers.Softmax()], "softmax"),
        ([layers.Dense(2), layers.Activation("linear", dtype="float64")], "linear"),
        ([layers.Dense(2, activation="softmax"), layers.Activation("linear")], "softmax"),
        ([layers.Dense(2, activation="sigmoid"), layers.Identity()], "sigmoid"),
        ([layers.Dense(2), layers.Activation("relu")], "relu"),
    ],
)
def test_what_passes_numbers_on_is_no_ending(ending, expected):
    assert last_activation(keras.Sequential([keras.Input((4,)), *ending])) == expected


def test_a_cast_is_no_ending():
    image = keras.Input((4,))
    output = layers.Dense(2, activation="softmax")(image)
    assert last_activation(keras.Model(image, keras.ops.cast(output, "float16"))) == "softmax"
