#!/bin/sh
# A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. A CGI script, for any web server.
#
#   apt install busybox jq perl
#   HOOKROUTER_SECRET=whsec_… busybox httpd -f -p 8000 -h examples/shell     # url = "http://127.0.0.1:8000/cgi-bin/ivr.sh"
#
# The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

LC_ALL=C
id=$HTTP_WEBHOOK_ID at=$HTTP_WEBHOOK_TIMESTAMP
body=$(head -c "${CONTENT_LENGTH:-0}"; echo .) # $(…) cuts line ends off; every byte was signed
body=${body%.}

refuse() {
  printf 'Status: 401 Unauthorized\r\nContent-Type: text/plain\r\n\r\nwrong signature\n'
  exit
}

# Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes. By hand, as there is no library for the
# shell; by Perl, as openssl wants the key among its arguments, where everybody on the machine can read it.
case $at in '' | *[!0-9]*) refuse ;; esac
age=$(($(date +%s) - at))
[ "${age#-}" -le 300 ] || refuse
wanted=v1,$(printf '%s' "$id.$at.$body" | perl -MDigest::SHA=hmac_sha256 -MMIME::Base64 -0777 -ne '
  print encode_base64(hmac_sha256($_, decode_base64($ENV{HOOKROUTER_SECRET} =~ s/^whsec_//r)), "")')
case " $HTTP_WEBHOOK_SIGNATURE " in *" $wanted "*) ;; *) refuse ;; esac

# What the call does next; an empty list changes nothing.
answer=$(printf '%s' "$body" | jq -c '
  def play(media): {action: "play", media: media};
  def menu: {
    action: "gather",
    prompt: ["sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"],
    validDigits: ["1", "2"], timeout: 8, tries: 2
  };
  def record: {action: "record", beep: true, maxSilenceSeconds: 3, maxDurationSeconds: 60, terminateOn: "#"};
  def goodbye: play("sound:vm-goodbye"), {action: "hangup"};
  def number: .call.state.number // "" | gsub("[^0-9*#]"; "") | if . == "" then "0" else . end; # whatever they call themselves

  if .call == null then empty
  elif .type == "StasisStart" then {actions: [{action: "answer"}, menu], state: {number: .data.channel.caller.number}}
  elif .type == "DigitsCollected" then
    if .data.digits == "1" then {actions: [play("digits:" + number), menu]}
    elif .data.digits == "2" then {actions: [play("sound:vm-leavemsg"), record]}
    else {actions: [goodbye]} end
  elif .type == "RecordingCompleted" then {actions: [play("recording:" + .data.name), goodbye]}
  elif .type == "ActionFailed" then {actions: [{action: "hangup"}]}
  else {actions: []} end')

if [ -n "$answer" ]; then
  printf 'Status: 200 OK\r\nContent-Type: application/json\r\n\r\n%s\n' "$answer"
else
  printf 'Status: 204 No Content\r\n\r\n'
fi
