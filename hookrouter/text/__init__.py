"""One function for each little language that Asterisk, SIP, a log or a shell reads. Pure.

Rules: what an answer says and what cannot be written is told (`…_fault`: what is wrong and the remedy, empty where nothing
is); what comes from the network is cleaned, and written all the same. Whoever puts a text into another takes a function
from here.
"""
