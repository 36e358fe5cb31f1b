"""C-STORE as a service class user: presentation contexts, the form of what is sent, the meaning of the answer."""
