"""The Open Charge Alliance's OCPP 1.6 test cases for a central system, by their numbers (TC_001 … TC_088).

The numbers and titles are public; how each is played here follows the specification. Commands are sent the way an
operator's program sends them, by the REST API in OCPP's own words, and what counts is what both sides say on the
wire and what is stored. `python -m tests.coverage` lists which test plays which case.
"""
