"""The process: starts, wires and stops all parts."""
