"""The commands of `zoo`, a module each: they wire data, models and exports together."""
