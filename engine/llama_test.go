// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
)

func TestTheServerOfLlamaCPPsBindingIsAskedWhereItListens(t *testing.T) {
	for args, want := range map[string]string{
		"--model m.gguf":                            "http://localhost:8000/v1/models",
		"--model m.gguf --port 9":                   "http://localhost:9/v1/models",
		"--ssl_certfile c.pem --ssl_keyfile k.pem":  "https://localhost:8000/v1/models",
		"--ssl_certfile=c.pem --port=9 --n_ctx 512": "https://localhost:9/v1/models",
	} {
		e, rest := Match(append([]string{"python3", "-m", "llama_cpp.server"}, strings.Fields(args)...))
		if e == nil {
			t.Fatalf("%s is not recognised", args)
		}
		if got := e.Addresses(rest, Surroundings{}); len(got) != 1 || got[0].String() != want {
			t.Errorf("%s is asked at %v, want %s", args, got, want)
		}
	}
}
