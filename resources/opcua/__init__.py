"""OPC UA through asyncua: connections to read and to subscribe, browsing, and its history as a Source."""
