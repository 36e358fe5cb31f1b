"""What is owed is sent: one courier per destination, retry by age, a circuit per destination."""
