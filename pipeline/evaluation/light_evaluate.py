"""The library `evaluate` without the models that it would load with it.

`evaluate` imports transformers for its Evaluator if it can, and with it torch: fifteen seconds that no metric needs. It
goes without where transformers is not installed, so it is imported as if that were the case. A process that has
loaded transformers already loses nothing.
"""

import sys
from typing import Any

_HIDDEN: Any = None  # what makes `import transformers` raise ImportError

if "transformers" in sys.modules or "evaluate" in sys.modules:
    import evaluate
else:
    sys.modules["transformers"] = _HIDDEN
    try:
        import evaluate
    finally:
        del sys.modules["transformers"]

__all__ = ["evaluate"]
