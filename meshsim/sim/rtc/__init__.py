"""Media as packets: what a call sends, how it is repaired and played, and how fast it may be sent."""
