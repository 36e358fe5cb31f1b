"""What C-MOVE and C-GET send: which instances, where they come from, in which form each destination gets them."""
