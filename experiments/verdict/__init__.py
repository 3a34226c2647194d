"""The best machine that the parts allow, searched on models prepared for it, and the verdict on 1 exaOPS in 10 kW."""
