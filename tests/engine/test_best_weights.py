import keras
import numpy as np

from bginv.engine.optimizers import BestWeights


def test_the_best_weights_come_back():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    best = BestWeights([model])
    best.restore()  # nothing was offered
    kept = []
    for value, score in ((1.0, 0.5), (2.0, 0.7), (3.0, 0.7), (4.0, 0.6)):
        model.set_weights([np.array([[value]])])
        kept.append(best.offer(score))
    assert kept == [True, True, False, False]
    best.restore()
    assert model.get_weights()[0] == 2
