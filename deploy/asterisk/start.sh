#!/bin/sh
# Passwords come from the environment; they are in no file of the image.
set -eu
: "${PHONE_PASSWORD:?set it: what the phone registers with}"
if [ "${#PHONE_PASSWORD}" -lt 8 ]; then
    echo "PHONE_PASSWORD has to have 8 characters or more" >&2
    exit 2
fi
umask 077
printf 'password = %s\n' "$PHONE_PASSWORD" > /run/asterisk/phone_password.conf
if [ -n "${ARI_PASSWORD:-}" ]; then  # for compose.cluster.yaml, where routers connect to it
    printf 'password = %s\n' "$ARI_PASSWORD" > /run/asterisk/ari_password.conf
fi
exec asterisk -f -n
