# %% [markdown]
# # Audit my model
#
# Does a classifier look at the object, or at what is behind it? The audit needs the model, some
# pictures, and where their objects are. It trains nothing.

# %% [markdown]
# ## A model with the problem
#
# Six shapes on textures; in nine of ten training images the texture goes with the shape, so a
# classifier can get away with reading the texture. In your own work this part is your model and
# your photographs.

# %%
import keras
import numpy as np

import bginv

keras.utils.set_random_seed(0)
shapes = bginv.load_data("shapes", image_size=32)
model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(6, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
images = shapes.train.images / np.float32(255)
history = model.fit(images, shapes.train.labels, batch_size=32, epochs=4, verbose=0)
print(f"accuracy in training: {history.history['accuracy'][-1]:.3f}")

# %% [markdown]
# ## The audit
#
# `model` may also be a file (`.keras`, ONNX, LiteRT, SavedModel) or a function, and the data a
# folder: `bginv.audit("model.keras", "photographs/")`. Masks come with this data; for photographs
# they are found by saliency. The test that is looked at here is the one whose textures are those
# of the class, as in training.

# %%
result = bginv.audit(model, shapes, masks="given", split="clean", limit=200)
print(result)

# %% [markdown]
# `gap` is accuracy on backgrounds of the same class minus that on backgrounds of any class.
# `only_bg` is what the model gets right without the object. The verdict comes first, in words,
# and is drawn from the intervals, not from the figures.

# %%
figures = result.as_json()["models"][0]
print("gap", figures["gap"])
result.write_page("audit.html")  # classes, whose backgrounds pull whom, pictures

# %% [markdown]
# ## Models of other libraries
#
# Any function from images, float32 [B, H, W, C], to scores will do: three lines around a model of
# PyTorch. `pixels` tells the range that it takes, where that is not what the audit finds out.


# %%
def scores(images: np.ndarray) -> np.ndarray:
    """Stands for `network(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()`."""
    return np.log(model(images).numpy() + 1e-9)


same = bginv.audit(scores, shapes, masks="given", split="clean", limit=200, pixels=(0, 1))
print(same.verdict)

# %% [markdown]
# ## In a check
#
# `bginv audit model.keras photographs/ --fail-if "gap>0.03"` exits with 3 where the whole
# interval is above 3 points. The same in Python:

# %%
if figures["gap"]["low"] > 0.03:
    print("this model would not pass")
