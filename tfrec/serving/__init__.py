"""What the papers' exports share: raw ids, and saving what signatures read."""
