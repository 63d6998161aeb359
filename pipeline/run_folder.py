"""The run-folder contract: what `pipeline/` writes and `hub/` reads. A leaf module without torch."""
