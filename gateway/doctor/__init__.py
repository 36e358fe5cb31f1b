"""`gateway doctor`: checks of the surroundings of a gateway, where operators make mistakes: peers, ports, disks,
rights, clocks, certificates. It changes nothing."""
