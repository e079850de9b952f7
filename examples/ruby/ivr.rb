# A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Ruby 3 or later.
#
#   gem install webrick     (Debian: it comes with the package ruby)
#   HOOKROUTER_SECRET=whsec_… ruby ivr.rb
#
# The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

require "json"
require "openssl"
require "webrick"

SECRET = ENV.fetch("HOOKROUTER_SECRET").delete_prefix("whsec_").unpack1("m")

MENU = {
  action: "gather",
  prompt: ["sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"],
  validDigits: ["1", "2"],
  timeout: 8,
  tries: 2
}
GOODBYE = [{ action: "play", media: "sound:vm-goodbye" }, { action: "hangup" }]

# What the call does next; an empty list changes nothing.
def actions(event)
  case event
  in { type: "StasisStart" }
    [{ action: "answer" }, MENU]
  in { type: "DigitsCollected", data: { digits: "1" } }
    number = event.dig(:call, :state, :number).to_s.delete("^0-9*#") # whatever a caller calls themselves
    [{ action: "play", media: "digits:#{number.empty? ? 0 : number}" }, MENU]
  in { type: "DigitsCollected", data: { digits: "2" } }
    [{ action: "play", media: "sound:vm-leavemsg" },
     { action: "record", beep: true, maxSilenceSeconds: 3, maxDurationSeconds: 60, terminateOn: "#" }]
  in { type: "DigitsCollected" }
    GOODBYE
  in { type: "RecordingCompleted", data: { name: } }
    [{ action: "play", media: "recording:#{name}" }, *GOODBYE]
  in { type: "ActionFailed" }
    [{ action: "hangup" }]
  else
    []
  end
end

# Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes. By hand, so that no gem is needed;
# the gem `standardwebhooks` does the same.
def signed?(request)
  id, at = request["webhook-id"], request["webhook-timestamp"]
  return false unless at&.match?(/\A\d+\z/) && (Time.now.to_i - at.to_i).abs <= 300

  digest = OpenSSL::HMAC.digest("SHA256", SECRET, "#{id}.#{at}.#{request.body}")
  wanted = "v1,#{[digest].pack("m0")}"
  request["webhook-signature"].to_s.split.any? { |given| OpenSSL.secure_compare(wanted, given) }
end

server = WEBrick::HTTPServer.new(
  Port: ENV.fetch("PORT", 8000).to_i, AccessLog: [], Logger: WEBrick::Log.new(nil, WEBrick::Log::WARN),
  StartCallback: -> { $stdout.puts("listening"); $stdout.flush }
)
server.mount_proc("/") do |request, response|
  unless signed?(request)
    response.status = 401
    next response.body = "wrong signature"
  end
  event = JSON.parse(request.body, symbolize_names: true)
  next response.status = 204 unless event[:call]

  answer = { actions: actions(event) }
  answer[:state] = { number: event.dig(:data, :channel, :caller, :number) } if event[:type] == "StasisStart"
  response.content_type = "application/json"
  response.body = JSON.generate(answer)
end
trap("TERM") { server.shutdown }
server.start
