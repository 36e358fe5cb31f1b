"""What operators get wrong around a gateway: peers, ports, disks, rights, clocks, certificates. It changes nothing."""
