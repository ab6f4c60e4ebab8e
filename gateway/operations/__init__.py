"""The operators' API of chargers: everything they can be asked, and what is known of each of them."""
