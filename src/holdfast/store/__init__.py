"""Where bytes live: one protocol, several stores."""
