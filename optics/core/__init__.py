"""The tensor core: joins the datapath to the interpreter, and prices a product."""
