package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestANewCallGetsTheMenu(t *testing.T) {
	found := actions(event{Type: "StasisStart"})
	if len(found) != 2 || found[0]["action"] != "answer" || found[1]["action"] != "gather" {
		t.Fatal(found)
	}
}

func TestOneReadsTheNumberOut(t *testing.T) {
	e := event{Type: "DigitsCollected", Call: &struct{ State state }{state{"100"}}}
	e.Data.Digits = "1"
	if found := actions(e); found[0]["media"] != "digits:100" {
		t.Fatal(found)
	}
}

func TestOnlyTheRightSignatureIsTaken(t *testing.T) {
	secret, body := []byte("a secret of this test"), []byte("{}")
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "evt_1.%s.%s", at, body)
	header := http.Header{}
	header.Set("webhook-id", "evt_1")
	header.Set("webhook-timestamp", at)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if !signed(secret, header, body) {
		t.Fatal("the right one is refused")
	}
	if signed([]byte("another secret"), header, body) || signed(secret, header, []byte("[]")) {
		t.Fatal("a wrong one is taken")
	}
}
