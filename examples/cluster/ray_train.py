"""`bginv COMMAND ARGUMENTS` on several workers of Ray, which sets `TF_CONFIG` for each."""

import argparse
import subprocess


def work(config: dict) -> None:
    """What each worker runs."""
    command = ["bginv", *config["command"], "--distribute", "multiworker"]
    subprocess.run(command, check=True)


def main() -> None:
    """Start the workers, and again those of a training that lost one."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true", help="one for each worker")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="without --distribute")
    options = parser.parse_args()
    TensorflowTrainer(
        work,
        train_loop_config={"command": options.command},
        scaling_config=ScalingConfig(num_workers=options.workers, use_gpu=options.gpu),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=3)),
    ).fit()


if __name__ == "__main__":
    main()
