import keras
import numpy as np
import pytest

from bginv.data.sources import ArraySource
from bginv.evaluation.accuracy import predict

LOGITS = np.array([[4, 0, 0], [0, 2, 0], [0, 0, 8], [1, 0, 0]], np.float32)


def test_predictions_confusion_and_the_most_confident_mistakes():
    # an image of one row of three pixels is its logits, divided by 8
    images = np.round(LOGITS * 255 / 8).astype(np.uint8)[:, None, :, None]
    source = ArraySource(images, np.array([0, 2, 1, 0]))
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Rescaling(8.0)])
    (found,) = predict(model, [source])
    assert found.predicted.tolist() == [0, 1, 2, 0]
    assert found.accuracy == 0.5
    assert found.confusion.counts.tolist() == [[2, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert found.mistakes(5).tolist() == [2, 1] and found.mistakes(1).tolist() == [2]
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert found.confidence == pytest.approx(shares.max(1), rel=0.02)
