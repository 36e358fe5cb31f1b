"""Taking instances in: the rules decide, the commit promises. Nothing in here knows by which protocol one came."""
