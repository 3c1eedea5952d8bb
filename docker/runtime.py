"""Prints what the image installs: the project's requirements without what only training and watching a model need."""

import re
import tomllib

NOT_HERE = {"scikit-learn", "skl2onnx", "onnx", "matplotlib", "river"}

with open("pyproject.toml", "rb") as file:
    wanted = tomllib.load(file)["project"]["dependencies"]
print("\n".join(line for line in wanted if re.split(r"[^\w-]", line)[0] not in NOT_HERE))
