"""The association requestor: associations that the gateway asks for, and the pool that keeps them (PS3.8)."""
