"""Deliveries, durable: what is owed to whom, with attempts and states. SQL lives here and nowhere else."""
