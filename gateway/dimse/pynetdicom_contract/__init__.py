"""The handler contract that pynetdicom documents, on top of the engine: events, yields, keywords."""
