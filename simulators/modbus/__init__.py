"""A stand-in PLC that speaks Modbus TCP: `python -m simulators.modbus --port P`."""
