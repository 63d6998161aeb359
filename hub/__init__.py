"""From a run folder on disk to the Hub, and to the clients that use a published model."""

import os

# Set before any module imports onnxruntime: from 1.29 on it reports every model that it loads to Microsoft by default.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
