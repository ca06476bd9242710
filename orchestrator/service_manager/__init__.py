"""Has systemd or launchd start the daemon at every login."""
