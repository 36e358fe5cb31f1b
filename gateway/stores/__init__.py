"""The store that the settings name: nothing above names its technology."""
