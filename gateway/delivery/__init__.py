"""Delivery: one courier per destination sends what is owed; retry by age, a circuit per destination."""
