"""The soak: a fleet that has every kind of trouble, drivers, servers that are killed; then ledger against books."""
