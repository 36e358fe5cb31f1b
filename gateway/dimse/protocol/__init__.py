"""The protocol: upper layer, P-DATA, messages, and one association on a transport (PS3.7, PS3.8)."""
