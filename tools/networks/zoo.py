# SPDX-License-Identifier: MIT
"""The networks: each function appends one to a quantized.Network and returns the
thresholds of its early exits.

Early exits are GlobalAveragePool and Gemm to all classes, as the networks' own ends are.
Thresholds are such that some of generate.py's images leave at each exit.
"""

CLASSES = 1000
LOGIT_SPREAD = 3.0


def resnet50(net):
    """ResNet-50 v1.5 (the stride in a block's 3x3); exits behind stages 1 to 3 and the end."""
    x = net.conv("stem", net.input, 64, 7, stride=2, activation="relu")
    x = net.max_pool("stem.pool", x, 3, 2, pad=1)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            name, width = f"stage{stage + 1}.{block}", 64 << stage
            stride = 2 if stage and not block else 1
            y = net.conv(name + ".reduce", x, width, 1, activation="relu")
            y = net.conv(name + ".conv", y, width, 3, stride=stride, activation="relu")
            y = net.conv(name + ".expand", y, 4 * width, 1)
            if not block:
                x = net.conv(name + ".project", x, 4 * width, 1, stride=stride)
            x = net.add(name + ".add", y, x, activation="relu")
        net.exit(x, CLASSES, LOGIT_SPREAD)
    return 0.24, 0.25, 0.2


def mobilenetv2(net):
    """MobileNetV2 1.0; exits at a quarter, half and three quarters of the multiplications."""
    x = net.conv("stem", net.input, 32, 3, stride=2, activation="relu6")
    block = 0
    for expand, channels, repeat, first_stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeat):
            block += 1
            name, width = f"block{block}", expand * x.codes.shape[3]
            stride = first_stride if not i else 1
            y = x
            if expand > 1:
                y = net.conv(name + ".expand", y, width, 1, activation="relu6")
            y = net.conv(name + ".depthwise", y, width, 3, stride=stride, activation="relu6",
                         depthwise=True)
            y = net.conv(name + ".project", y, channels, 1)
            x = net.add(name + ".add", x, y) if i else y
            if block in (3, 10, 14):
                net.exit(x, CLASSES, LOGIT_SPREAD)
    x = net.conv("last", x, 1280, 1, activation="relu6")
    net.exit(x, CLASSES, LOGIT_SPREAD)
    return 0.5, 0.25, 0.17


def squeezenet(net):
    """SqueezeNet 1.1, whose fire modules end in a Concat; exits behind fire3, fire5, fire7."""
    x = net.conv("stem", net.input, 64, 3, stride=2, pad=0, activation="relu")
    for number, (squeeze, expand) in enumerate(
            ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256),
             (64, 256)), 2):
        name = f"fire{number}"
        if number in (2, 4, 6):
            x = net.max_pool(name + ".pool", x, 3, 2)
        x = net.conv(name + ".squeeze", x, squeeze, 1, activation="relu")
        x = net.concat(name + ".concat",
                       net.conv(name + ".expand1", x, expand, 1, activation="relu"),
                       net.conv(name + ".expand3", x, expand, 3, activation="relu"))
        if number in (3, 5, 7):
            net.exit(x, CLASSES, LOGIT_SPREAD)
    net.exit_of_averages(net.conv("last", x, CLASSES, 1, activation="relu"), CLASSES)
    return 0.5, 0.2, 0.25


NETWORKS = {"resnet50": resnet50, "mobilenetv2": mobilenetv2, "squeezenet": squeezenet}
