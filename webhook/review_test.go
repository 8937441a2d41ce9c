// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// pods are JSON pods of every shape that the golden tests have, and of the corpus where there is one.
func pods(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"../inject/testdata/*.yaml", "../../shared/corpus/pods/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			object, err := yaml.YAMLToJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(file)] = string(object)
		}
	}
	return all
}

// sameAsTheAPIServer compares decode with the decoder that the API server reads requests with.
func sameAsTheAPIServer(t *testing.T, body []byte) {
	t.Helper()
	got, err := decode(body)
	var want review
	wantErr := kjson.UnmarshalCaseSensitivePreserveInts(body, &want)
	switch {
	case err == nil && wantErr != nil:
		t.Errorf("decoded what the API server does not: %v", wantErr)
	case err == nil && !reflect.DeepEqual(*got, want.Request):
		t.Errorf("decoded\n%+v\nthe API server decodes\n%+v", *got, want.Request)
	case err != nil && wantErr == nil && want.APIVersion == apiVersion && want.Request.UID != "":
		t.Errorf("did not decode what the API server does: %v", err)
	}
}

func TestEveryPodIsReadAsTheAPIServerReadsIt(t *testing.T) {
	for name, object := range pods(t) {
		t.Run(name, func(t *testing.T) { sameAsTheAPIServer(t, []byte(reviewOf(object))) })
	}
}

func TestOddPodsAreReadAsTheAPIServerReadsThem(t *testing.T) {
	cases := map[string]string{
		"nulls":                    `{"metadata":{"labels":null,"annotations":{"a":null},"ownerReferences":[null]},"spec":{"containers":[{"name":null,"command":null,"env":[{"name":"A","value":null,"valueFrom":null}],"resources":null,"securityContext":null}],"affinity":null,"os":null}}`,
		"a null quantity":          `{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":null,"cpu":1,"memory":1.5e9,"a":"1\u004di"}}}]}}`,
		"names in another case":    `{"Metadata":{"Labels":{"a":"b"}},"SPEC":{"Containers":[{"Name":"x"}]}}`,
		"escapes in names":         `{"m\u0065tadata":{"name":"\u00e9\ud83d\ude00\n\/"},"spec":{"containers":[{"command":["\"\\\b\f\t"]}]}}`,
		"half a surrogate pair":    `{"metadata":{"name":"a\ud83db"}}`,
		"empty objects and lists":  `{"metadata":{"labels":{},"ownerReferences":[]},"spec":{"containers":[],"nodeSelector":{},"affinity":{}}}`,
		"a probe's port by name":   `{"spec":{"containers":[{"readinessProbe":{"httpGet":{"port":"http"}}},{"readinessProbe":{"httpGet":{"port":8080}}}]}}`,
		"white space everywhere":   " {\n\t\"metadata\" : { \"name\" :\r\"a\" } , \"spec\":{ \"containers\" : [ { } , { } ] } } ",
		"a number too large":       `{"spec":{"containers":[{"ports":[{"containerPort":99999999999}]}]}}`,
		"a fraction for a port":    `{"spec":{"containers":[{"ports":[{"containerPort":80.5}]}]}}`,
		"a string for a list":      `{"spec":{"containers":[{"command":"vllm"}]}}`,
		"a number for a string":    `{"metadata":{"name":7}}`,
		"a boolean for a struct":   `{"spec":{"affinity":true}}`,
		"no pod":                   `null`,
		"text after the pod":       `{} x`,
		"a comma too many":         `{"spec":{"containers":[{},]}}`,
		"a control character":      "{\"metadata\":{\"name\":\"a\nb\"}}",
		"a broken number":          `{"spec":{"x":01}}`,
		"a broken escape":          `{"spec":{"x":"\q"}}`,
		"a user that runs as root": `{"spec":{"securityContext":{"runAsUser":0,"runAsNonRoot":false,"seccompProfile":{"type":"RuntimeDefault"}}}}`,
	}
	for name, object := range cases {
		t.Run(name, func(t *testing.T) { sameAsTheAPIServer(t, []byte(reviewOf(object))) })
	}
}

func FuzzReviewsAreReadAsTheAPIServerReadsThem(f *testing.F) {
	for _, object := range pods(f) {
		f.Add([]byte(object))
	}
	f.Add([]byte(`{"spec":{"containers":[{"env":[{"name":"A","valueFrom":null}],"resources":{"limits":{"a":1}}}]}}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		// An API server encodes what it decoded before: what is not JSON, names given twice and broken UTF-8 do not come.
		var tree any
		if !utf8.Valid(object) || json.Unmarshal(object, &tree) != nil {
			if body := []byte(reviewOf(string(object))); !json.Valid(body) {
				if _, err := decode(body); err == nil {
					t.Error("decoded what is not JSON")
				}
			}
			return
		}
		once, err := json.Marshal(tree)
		if err != nil {
			t.Skip()
		}
		sameAsTheAPIServer(t, []byte(reviewOf(string(once))))
	})
}
