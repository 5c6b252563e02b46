"""`bginv.robustify` of a Keras model that its user fine-tuned, all settings at their defaults.

The model is EfficientNet-Lite0 with a new softmax layer, fine-tuned as the tutorials of Keras do
it: the layer alone first, then the whole network at a small rate, batch normalization fixed.
"""

import argparse

import keras
from measuring import accuracies, head, line, timed
from photograph_tests import SIDE, tests_of

import bginv
from bginv.nn.efficientnet_lite import build_efficientnet_lite0

BATCH = 16
SHOWN = ("mixed_rand", "mixed_same", "only_fg", "clean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    data = bginv.load_data(arguments.folder, image_size=SIDE)
    tests = tests_of(data, "auto").splits
    print(head("seed", *(f"{name}, before -> after" for name in SHOWN), "seconds", left=0))
    for seed in arguments.seeds:
        model = fine_tuned(data, seed)
        before = accuracies(model, tests)
        seconds, result = timed(bginv.robustify, model, data, seed=seed)
        after = accuracies(model, tests)
        cells = [f"{100 * before[name]:.1f} -> {100 * after[name]:.1f}" for name in SHOWN]
        print(line(seed, *cells, f"{seconds:.0f}"), flush=True)
        print(result.headline[0], flush=True)


def fine_tuned(data, seed: int) -> keras.Model:
    """What a user may bring."""
    keras.utils.set_random_seed(seed)
    backbone = build_efficientnet_lite0((SIDE, SIDE, 3), "imagenet")
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomFlip("horizontal", seed=seed)(image)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x, training=False))
    x = keras.layers.Dropout(0.2, seed=seed)(x)
    model = keras.Model(image, keras.layers.Dense(data.num_classes, activation="softmax")(x))
    steps = -(-len(data.train) // BATCH)
    batches = data.train.batches(BATCH, shuffle=True, seed=seed)
    pairs = batches.map(lambda batch: (batch["image"], batch["label"]))
    for trainable, rate, epochs in ((False, 1e-3, 3), (True, 1e-5, 2)):
        backbone.trainable = trainable
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        model.fit(pairs, epochs=epochs, steps_per_epoch=steps, verbose=2)
    return model


if __name__ == "__main__":
    main()
