"""The static Space: the page of `hub/server`, answering in the browser: no picture leaves a visitor's device."""
