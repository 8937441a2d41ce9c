// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"strings"
	"testing"
)

func TestEndpointsAsPeopleWriteThem(t *testing.T) {
	for raw, want := range map[string]string{
		"http://c:4317":                       "http://c:4317",
		"HTTPS://c:4317/x":                    "https://c:4317/x",
		"c:4317":                              "http://c:4317",
		"grpc://c:4317":                       "http://c:4317",
		"http://10.0.0.1:4317":                "http://10.0.0.1:4317",
		"http://fd00::1:4317":                 "http://[fd00::1]:4317",
		"http://fd00:1:2:3:4:5:6:7:4317":      "http://[fd00:1:2:3:4:5:6:7]:4317",
		"http://2001:db8::1:4318/v1":          "http://[2001:db8::1]:4318/v1",
		"http://fd00::1":                      "http://[fd00::1]",
		"http://[fd00::1]:4317":               "http://[fd00::1]:4317",
		"fd00::1:4317":                        "http://[fd00::1]:4317",
		"http://fd00:1:2:3:4:5:6:7":           "http://[fd00:1:2:3:4:5:6:7]",
		"http://2600:1f13:cc2:7700::a4b:4317": "http://[2600:1f13:cc2:7700::a4b]:4317",
	} {
		u, err := parseURL(raw, false)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v, want %s", raw, u, err, want)
		}
	}
	if u, err := parseURL("c:4317", true); err != nil || u.Scheme != "https" {
		t.Errorf("%v %v", u, err)
	}
	for _, raw := range []string{"", "http://", "ftp://c", "unix:///x", "http://a b", "http://[::1", "http://c:port", "http://:4317", "http://u:secret@"} {
		if u, err := parseURL(raw, false); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", raw, u)
		}
	}
}
