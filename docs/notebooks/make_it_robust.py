# %% [markdown]
# # Make it robust
#
# A classifier of digits on black, which fails when something stands behind them; and the same
# classifier after its training against backgrounds that generators draw to fool it.

# %%
import os

import keras
import numpy as np

import bginv

STEPS = int(os.environ.get("NOTEBOOK_STEPS", 400))  # more are better: the recipe takes 6,000
keras.utils.set_random_seed(0)
digits = bginv.load_data("digits")
print(digits.train.images.shape, list(digits.tests))

# %% [markdown]
# Any Keras classifier will do. This one ends with probabilities, and takes images in [0, 1].

# %%
model = keras.Sequential(
    [
        keras.Input((32, 32, 1)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
images = digits.train.images / np.float32(255)
model.fit(images, digits.train.labels, batch_size=32, epochs=8, verbose=0)

# %% [markdown]
# It tells the digits as it saw them (`clean`), and fewer of them on backgrounds that it has never
# seen.

# %%
print(bginv.evaluate(model, "digits_backgrounds"))

# %% [markdown]
# One call trains it against backgrounds, in place. `masks="heuristic"` takes `image > 0` for the
# object, as digits stand on black. For your own photographs, `bginv.robustify(model, "PATH")`
# needs no settings.

# %%
result = bginv.robustify(model, "digits", masks="heuristic", adversarial_steps=STEPS)
print(result)

# %% [markdown]
# Everything that was trained and measured lies in a folder, with a page to look at.

# %%
print("open", result.report)
result.save("robust", overwrite=True)

# %% [markdown]
# What is shipped: the files are run again and compared with the model.

# %%
formats = ["keras", "saved_model"]
print(bginv.export(model, "exported", formats=formats, data="digits", overwrite=True))
