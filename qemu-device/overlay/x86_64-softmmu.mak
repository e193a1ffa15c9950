# SPDX-License-Identifier: MIT
#
# The whole machine: a Q35 PC, a slot to plug the NPU into and out of, and what
# tools/vm-run uses to talk to the guest.  Built with --without-default-devices.

CONFIG_Q35=y
CONFIG_PCIE_PORT=y
CONFIG_FLUIDNPU=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_RNG=y
