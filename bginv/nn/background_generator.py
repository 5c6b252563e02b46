"""The paper's background generator: noise to one tile of a background (Cruz et al. 2020)."""

import keras
import tensorflow as tf
from keras import layers

from bginv.errors import UserError
from bginv.nn.layers import glorot_uniform, in_float32
from bginv.ops.compositing import assemble_tiles, random_order
from bginv.ops.replicas import own_rows

LEAKY_SLOPE = 0.2
SIDE_MULTIPLE = 16
"""Of the square behind an image that is none, so that 1, 2 and 4 tiles fill it."""


def seed_side(tile_side: int) -> int:
    """Side d of the noise image that grows into a tile: the smallest s / 2^k of at least 4.

    The paper's code has `max(s / 2^k, 4)` for the largest k, the same where a tile can grow so.
    """
    side = tile_side
    while side % 2 == 0 and side >= 8:
        side //= 2
    return side


def square_side(image_shape: tuple[int, int, int]) -> int:
    """Side of the squares that are drawn: H, or more where an image has no square shape."""
    height, width, _ = image_shape
    return height if height == width else -(-max(height, width) // SIDE_MULTIPLE) * SIDE_MULTIPLE


def fitting_tiles(image_shape: tuple[int, int, int]) -> list[int]:
    """Tile counts t for which t x t tiles of at least 4 pixels fill the square of an image."""
    side = square_side(image_shape)
    return [t for t in range(1, side // 4 + 1) if side % t == 0]


def check_tiles(image_shape: tuple[int, int, int], tiles: int) -> None:
    """Raise if t x t generated tiles cannot fill the image.

    Raises:
        UserError: it names the tile counts that do fit.
    """
    height, width, _ = image_shape
    fitting = fitting_tiles(image_shape)
    if tiles not in fitting:
        raise UserError(
            f"{tiles}x{tiles} tiles do not fit images of {height}x{width}; "
            f"--tiles may be {', '.join(map(str, fitting)) or 'nothing: resize the images'}"
        )


@in_float32()
def build_background_generator(
    image_shape: tuple[int, int, int], tiles: int, seed: int | None = None
) -> keras.Model:
    """Generator of one of t x t tiles, of side s = H / t, or `square_side` / t.

    Args:
        image_shape: (H, W, C) of the whole background.
        tiles: t.
        seed: of the initial weights; None draws one.

    Returns:
        Model from normal noise float32 [B, d * d * C] to tiles float32 [B, s, s, C] in (0, 1),
        with d of `seed_side(s)`.

    Raises:
        UserError: tiles that do not fit the image.
    """
    check_tiles(image_shape, tiles)
    channels = image_shape[2]
    tile_side = square_side(image_shape) // tiles
    start, doublings = seed_side(tile_side), _num_doublings(tile_side)
    initializers = glorot_uniform(seed)

    def convolution(x, filters: int):
        x = layers.Conv2D(filters, 3, padding="same", kernel_initializer=next(initializers))(x)
        return layers.LeakyReLU(LEAKY_SLOPE)(x)

    inputs = layers.Input([start * start * channels], name="noise")
    x = layers.Reshape((start, start, channels))(inputs)
    x = convolution(x, 2 ** (doublings + 5))
    for level in reversed(range(doublings)):
        x = convolution(layers.UpSampling2D()(x), 2 ** (level + 5))
    tile = layers.Conv2D(
        channels, 1, activation="sigmoid", kernel_initializer=next(initializers), name="tile"
    )(x)
    return keras.Model(inputs, tile, name=f"background_generator_{tiles}x{tiles}")


def generate_backgrounds(
    generator: keras.Model,
    count: int,
    tiles: int,
    seed: tf.Tensor,
    uses: int = 1,
    size: tuple[int, int] | None = None,
) -> tf.Tensor:
    """Draw whole backgrounds: t x t independent tiles each, or tiles shared among them.

    Args:
        generator: see `build_background_generator`.
        count: number of backgrounds B.
        tiles: t.
        seed: int32 [2] of the noise.
        uses: how often each tile is laid, in places drawn at random; fewer are generated.
        size: (H, W), the part of the square that is kept; None keeps all.

    Returns:
        float32 [B, H, W, C] in (0, 1).
    """
    height, width = size or (None, None)
    length, laid = generator.input_shape[1], tiles * tiles
    drawn = -(-count // uses)
    noise = own_rows(lambda n: tf.random.stateless_normal([n, laid * length], seed), drawn)
    noise = tf.reshape(noise, [-1, length])
    if uses == 1:
        return backgrounds_from_noise(generator, noise, tiles)[:, :height, :width]
    places = random_order(drawn * laid * uses, tf.random.fold_in(seed, 1))[: count * laid]
    chosen = tf.gather(generator(noise, training=True), places // uses)
    laid_out = assemble_tiles(tf.reshape(chosen, [count, tiles, tiles, *chosen.shape[1:]]))
    return laid_out[:, :height, :width]


def backgrounds_from_noise(generator: keras.Model, noise: tf.Tensor, tiles: int) -> tf.Tensor:
    """Draw whole backgrounds from given noise.

    Args:
        generator: see `build_background_generator`.
        noise: float32 [B * t * t, d * d * C], ordered by image, then row, then column of tiles.
        tiles: t.

    Returns:
        float32 [B, H, W, C] in (0, 1).
    """
    drawn = generator(noise, training=True)
    return assemble_tiles(tf.reshape(drawn, [-1, tiles, tiles, *drawn.shape[1:]]))


def _num_doublings(tile_side: int) -> int:
    """Upsamplings from the noise image to the tile."""
    return (tile_side // seed_side(tile_side)).bit_length() - 1
