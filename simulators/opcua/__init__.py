"""A stand-in OPC UA server with live values and history: `python -m simulators.opcua --port P`."""
