"""From a run folder on disk to the Hub, and to those who use what is published."""

import os

# Before any room imports onnxruntime: from 1.29 on it tells Microsoft of every model that it loads, by default.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
