"""While tests run, every secret that they make is remembered, and looked for wherever it must not stand."""
