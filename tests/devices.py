"""A script of ours on several logical CPU devices: `python -m tests.devices 2 train1 digits`."""

import sys

import tensorflow as tf

from bginv import cli

if __name__ == "__main__":
    count, script = int(sys.argv[1]), sys.argv[2]
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, devices)
    sys.argv = [f"{script}.py", *sys.argv[3:]]
    sys.exit(cli.run(cli.parse(sys.argv[1:], script)))
