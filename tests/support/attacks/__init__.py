"""What hostile or broken senders do to a gateway, each as a coroutine that uses nothing of the gateway.

`python -m tests.support.attacks NAME --port P --http-port H` runs one in a process of its own.
`tests.support.campaigns.attacks` measures what others feel meanwhile.
"""
