"""The history of a run, as Keras has that of `fit`."""

from collections.abc import Sequence

from bginv.engine.callbacks import WATCHED

NOT_FIGURES = ("phase", "step", "epoch", "images_per_second", "seconds", WATCHED)


class History(list):
    """The records of a run's metrics, with the histories of its phases as Keras has them.

    Attributes:
        phases: for each phase, lists by the name of a figure, means over each epoch; without
            callbacks, over what was reported last in an epoch, which may be several short ones.
        history: that of the phase that trained the model last, as `fit` gives it.
        epoch: its epochs, from 0.
    """

    def __init__(self, records: Sequence[dict]):
        super().__init__(records)
        told: dict[str, dict[int, dict[str, float]]] = {}
        sums: dict[tuple[str, int], tuple[int, dict[str, float]]] = {}
        last: dict[str, int] = {}
        for record in records:
            if "step" in record:
                phase, epoch = record["phase"], record["epoch"]
                taken = record["step"] - last.get(phase, 0)
                last[phase] = record["step"]
                count, total = sums.get((phase, epoch), (0, {}))
                values = {own: record[own] for own in record if own not in NOT_FIGURES}
                summed = {own: total.get(own, 0.0) + taken * value for own, value in values.items()}
                sums[phase, epoch] = (count + taken, summed)
            elif WATCHED in record:
                values = {own: record[own] for own in record if own not in NOT_FIGURES}
                told.setdefault(record[WATCHED], {})[record["epoch"]] = values
        self.phases: dict[str, dict[str, list[float]]] = {}
        for (phase, epoch), (count, total) in sorted(sums.items(), key=lambda own: own[0][1]):
            own = {name: value / max(1, count) for name, value in total.items()}
            own |= told.get(phase, {}).get(epoch, {})
            for name, value in own.items():
                self.phases.setdefault(phase, {}).setdefault(name, []).append(value)
        trained = [own for own in ("adversarial", "classifier") if own in self.phases]
        self.history = self.phases[trained[0]] if trained else {}
        self.epoch = sorted(epoch - 1 for phase, epoch in sums if phase in trained[:1])
