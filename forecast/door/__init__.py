"""What the Python door needs: keywords, words, frames as answers."""
