"""Worker processes that convert whole objects: codecs are native code, and what is sent to them is not ours."""
