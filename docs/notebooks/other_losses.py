# %% [markdown]
# # Other losses and loops
#
# The model need not be a classifier, and the loop need not be ours.

# %%
import os

import keras
import numpy as np

import bginv

STEPS = int(os.environ.get("NOTEBOOK_STEPS", 400))  # of each training
keras.utils.set_random_seed(0)
shapes = bginv.load_data("shapes", image_size=32)


def build_model(outputs: int, activation: str | None) -> keras.Model:
    """A small network of convolutions."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(outputs, activation=activation),
        ]
    )


# %% [markdown]
# ## In `fit`
#
# A layer puts photographs (here: noise) behind the objects of half of the images, while `fit`
# trains. It takes masks as a second input, and leaves images alone where nothing is trained.

# %%
layer = bginv.BackgroundAugmentation(np.random.default_rng(0).random((100, 32, 32, 3)), rate=0.5)
image, mask = keras.Input((32, 32, 3)), keras.Input((32, 32, 1))
model = build_model(6, "softmax")
augmented = keras.Model([image, mask], model(layer(image, mask)))
augmented.compile("adam", "sparse_categorical_crossentropy")
images = shapes.train.images / np.float32(255)
masks = shapes.train.masks / np.float32(255)
augmented.fit([images, masks], shapes.train.labels, batch_size=32, epochs=1, verbose=0)
print(bginv.evaluate(model, shapes))

# %% [markdown]
# ## Numbers in place of classes
#
# This model tells where the object's centre is: row and column, as shares of the image. Textures
# do not go along with places here, so the first row is nearly as good on textures of any class
# (`mixed_random`) as on the usual ones. That is worth knowing before a training: there is little
# to gain, and 400 steps on drawn backgrounds cost more than they bring. With your data it may be
# otherwise; the call is the same.


# %%
def centres_of(source) -> np.ndarray:
    """Row and column of each object's centre, as shares of the image: float64 [N, 2]."""
    inside = source.masks[..., 0] > 0
    side = inside.shape[1]
    places = (np.arange(side) + 0.5) / side
    areas = inside.sum((1, 2))
    return np.stack([inside.sum(2) @ places / areas, inside.sum(1) @ places / areas], 1)


splits = {"train": shapes.train, **{name: shapes.tests[name] for name in ("clean", "mixed_random")}}
where = {name: (source.images, centres_of(source)) for name, source in splits.items()}
result = bginv.robustify(
    build_model(2, None),
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
