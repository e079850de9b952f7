"""The console: pages for people, each with its own address, made on the server and kept up to date by one small script."""
