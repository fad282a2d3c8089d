"""Live streams: what a worker publishes while it runs, and what browsers and programs read of it."""

from gateway_app.services.streams.publisher import StreamPublisher
from gateway_app.services.streams.reader import Frame, StreamReader, stream_authorise
from gateway_app.services.streams.rows import OpenStream, stream_open, streams_open

__all__ = ["Frame", "OpenStream", "StreamPublisher", "StreamReader", "stream_authorise", "stream_open", "streams_open"]
