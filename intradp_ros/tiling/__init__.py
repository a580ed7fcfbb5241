"""Bands of rows: how they are encoded, cut into messages, and put together again."""
