"""Generation of text token by token: choice of a token, and the loop over them."""
