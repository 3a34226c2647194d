"""`otc accelerators`: the serving model against published results, and its calibration."""
