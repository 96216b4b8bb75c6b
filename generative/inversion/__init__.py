"""The search for what draws a given image, or what is known of one."""
