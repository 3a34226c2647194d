"""`otc scaling`: whether tiny models trained here predict how much a larger one loses on light."""
