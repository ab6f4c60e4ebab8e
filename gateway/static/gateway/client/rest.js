// Written by docs/clients/generate.py from docs/openapi.yaml; not by hand.
export {};
