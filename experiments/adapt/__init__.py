"""`otc adapt`: what a language model loses on light as it was trained, and prepared for light in several ways."""
