"""What a sweep is: axes, fields of the core, and the TOML file that states one."""
