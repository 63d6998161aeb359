"""The one decoder: bytes or a path become an upright RGB picture, or a reason why not."""
