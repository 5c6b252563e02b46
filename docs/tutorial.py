"""From a classifier that reads the background to one that looks at the object, step by step.

Run it whole (`python docs/tutorial.py`) or cell by cell in an editor that knows `# %%`.
`TUTORIAL_STEPS` shortens every training.
"""

# %% Six shapes on textures. In training the texture goes with the shape in 90 % of the images.
import os

import keras
import numpy as np

import bginv

STEPS = int(os.environ.get("TUTORIAL_STEPS", 1500))
shapes = bginv.load_data("shapes", image_size=32)
print(shapes.class_names, len(shapes.train), list(shapes.tests))


# %% Any Keras classifier will do. This one ends with probabilities.
def build_model(outputs: int, activation: str | None) -> keras.Model:
    """A small network of convolutions."""
    convolution = {"kernel_size": 3, "padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(32, **convolution),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, **convolution),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, **convolution),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )


model = build_model(6, "softmax")
model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
images = shapes.train.images / np.float32(255)
model.fit(images, shapes.train.labels, batch_size=32, epochs=max(1, STEPS // 75), verbose=0)

# %% It tells the shapes on their own textures, and few on those of others.
print(bginv.evaluate(model, shapes))

# %% These images come with true masks. Phase 3 puts what its generators draw behind the objects.
result = bginv.robustify(
    model,
    shapes,
    masks="given",
    batchsize=32,
    adversarial_steps=STEPS,
    generator_learning_rate=1e-5,
    mask_growth=0,
)
print(result)
print("open", result.report)

# %% The same in a loop of Keras' own: photographs (here: noise) behind objects, within `fit`.
layer = bginv.BackgroundAugmentation(np.random.default_rng(0).random((100, 32, 32, 3)), rate=0.5)
image, mask = keras.Input((32, 32, 3)), keras.Input((32, 32, 1))
augmented = keras.Model([image, mask], model(layer(image, mask)))
augmented.compile("adam", "sparse_categorical_crossentropy")
masks = shapes.train.masks / np.float32(255)
augmented.fit([images, masks], shapes.train.labels, batch_size=32, epochs=1, verbose=0)


# %% The model need not be a classifier: this one tells where the object's centre is.
def centres_of(source) -> np.ndarray:
    """Row and column of each object's centre, as shares of the image: float64 [N, 2]."""
    inside = source.masks[..., 0] > 0
    side = inside.shape[1]
    places = (np.arange(side) + 0.5) / side
    areas = inside.sum((1, 2))
    return np.stack([inside.sum(2) @ places / areas, inside.sum(1) @ places / areas], 1)


splits = {"train": shapes.train, **{name: shapes.tests[name] for name in ("clean", "mixed_random")}}
where = {name: (source.images, centres_of(source)) for name, source in splits.items()}
locator = build_model(2, None)
result = bginv.robustify(
    locator,
    where,
    loss="mse",  # any loss of Keras
    masks=shapes.train.masks,
    batchsize=32,
    classifier_steps=STEPS,
    adversarial_steps=STEPS,
    generator_learning_rate=1e-5,
    mask_growth=0,
)
print(result)  # mean absolute error, before and after

# %% What is shipped: the files are run again and compared with the model.
print(
    bginv.export(model, "exported", formats=["keras", "saved_model"], data=shapes, overwrite=True)
)
