// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
)

// uidPrefix reads token by token up to request.uid, for a body of which the whole can't be decoded: too long, broken, or with a field
// of an unexpected type. The API server writes it among the first fields. Empty: it is not there.
func uidPrefix(head []byte) string {
	dec := json.NewDecoder(bytes.NewReader(head))
	if !enter(dec, "request") || !enter(dec, "uid") {
		return ""
	}
	token, err := dec.Token()
	if err != nil {
		return ""
	}
	uid, _ := token.(string)
	return uid
}

// enter reads into an object up to the value of a key.
func enter(dec *json.Decoder, key string) bool {
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return false
	}
	for {
		token, err := dec.Token()
		if err != nil || token == json.Delim('}') {
			return false
		}
		if token == key {
			return true
		}
		var skipped json.RawMessage
		if dec.Decode(&skipped) != nil {
			return false
		}
	}
}
