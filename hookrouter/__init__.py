"""hookrouter puts every call on an Asterisk into the hands of a web function in any language."""

__version__ = "0.1.0"
