// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Go 1.18 or later, no packages.
//
//	HOOKROUTER_SECRET=whsec_… go run ivr.go
//
// The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type action map[string]any

type event struct {
	Type string
	Data struct {
		Digits, Name string
		Channel      struct{ Caller struct{ Number string } }
	}
	Call *struct{ State state }
}

type state struct {
	Number string `json:"number"`
}

type answer struct {
	Actions []action `json:"actions"`
	State   *state   `json:"state,omitempty"`
}

var (
	menu = action{
		"action":      "gather",
		"prompt":      []string{"sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"},
		"validDigits": []string{"1", "2"},
		"timeout":     8,
		"tries":       2,
	}
	hangup    = action{"action": "hangup"}
	goodbye   = []action{play("sound:vm-goodbye"), hangup}
	notDigits = regexp.MustCompile("[^0-9*#]")
)

func play(media string) action { return action{"action": "play", "media": media} }

// What the call does next; an empty list changes nothing.
func actions(e event) []action {
	switch e.Type {
	case "StasisStart":
		return []action{{"action": "answer"}, menu}
	case "DigitsCollected":
		switch e.Data.Digits {
		case "1":
			number := notDigits.ReplaceAllString(e.Call.State.Number, "") // whatever a caller calls themselves
			if number == "" {
				number = "0"
			}
			return []action{play("digits:" + number), menu}
		case "2":
			return []action{play("sound:vm-leavemsg"), {
				"action": "record", "beep": true, "maxSilenceSeconds": 3, "maxDurationSeconds": 60, "terminateOn": "#",
			}}
		}
		return goodbye
	case "RecordingCompleted":
		return append([]action{play("recording:" + e.Data.Name)}, goodbye...)
	case "ActionFailed":
		return []action{hangup}
	}
	return []action{}
}

// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes. By hand, so that `go run` needs no
// module; github.com/standard-webhooks/standard-webhooks/libraries/go does the same.
func signed(secret []byte, header http.Header, body []byte) bool {
	id, at := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(wanted), []byte(given)) {
			return true
		}
	}
	return false
}

func main() {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("HOOKROUTER_SECRET"), "whsec_"))
	if err != nil || len(secret) == 0 {
		log.Fatal("HOOKROUTER_SECRET is not a secret")
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !signed(secret, r.Header, body) {
			http.Error(w, "wrong signature", http.StatusUnauthorized)
			return
		}
		var e event
		if err := json.Unmarshal(body, &e); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if e.Call == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		reply := answer{Actions: actions(e)}
		if e.Type == "StasisStart" {
			reply.State = &state{e.Data.Channel.Caller.Number}
		}
		w.Header().Set("content-type", "application/json")
		json.NewEncoder(w).Encode(reply)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "8000"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on port", port)
	log.Fatal(http.Serve(listener, nil))
}
