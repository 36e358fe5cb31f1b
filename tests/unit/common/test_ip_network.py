"""The addresses that mean every interface."""

import ipaddress

from gateway.common.ip_network import ANY_ADDRESS


def test_both_families_have_their_unspecified_address() -> None:
    addresses = [ipaddress.ip_address(address) for address in ANY_ADDRESS]
    assert sorted(address.version for address in addresses) == [4, 6]
    assert all(address.is_unspecified for address in addresses)
