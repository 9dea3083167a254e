"""What can go wrong with an embedded server, as two classes: wait or repair, and make room."""


class ServerNotReady(Exception):
    """An embedded server is not to be had.

    The message says which server, which log file holds more, and what to do.
    """


class NoRoom(ServerNotReady):
    """The disk under a server's folder or under the cache is too full to start on."""
