// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	v2json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
)

// apiVersion is the one version of AdmissionReview that is spoken; the webhook configuration asks for no other.
const apiVersion = "admission.k8s.io/v1"

// review is the part of an AdmissionReview that is read, the pod included, in one pass over the bytes.
type review struct {
	APIVersion string  `json:"apiVersion"`
	Request    request `json:"request"`
}

type request struct {
	UID         string       `json:"uid"`
	Namespace   string       `json:"namespace"`
	Operation   string       `json:"operation"`
	SubResource string       `json:"subResource"`
	DryRun      bool         `json:"dryRun"`
	Resource    resource     `json:"resource"`
	Object      endpoint.Pod `json:"object"`
}

type resource struct {
	Resource string `json:"resource"`
}

// lenient takes what the API server's own decoder takes. Names are matched by case, as it does.
var lenient = v2json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// decode reads a review, by the decoder that is to be encoding/json's second version: it reads the bytes once, where the
// first reads them twice, and skips what is not asked for, which is most of a pod, several times faster. A review whose pod can't be read still tells its UID, which an answer needs.
func decode(body []byte) (*request, error) {
	var r review
	switch err := v2json.Unmarshal(body, &r, lenient); {
	case err != nil:
		// The text of a JSON error may quote the pod: only its kind is told.
		return &request{UID: uidPrefix(body)}, fmt.Errorf("decode review: %s", jsonErrorKind(err))
	case r.APIVersion != apiVersion:
		return &request{}, fmt.Errorf("decode review: this is not %s", apiVersion)
	case r.Request.UID == "":
		return &request{}, errors.New("decode review: the request has no uid")
	}
	return &r.Request, nil
}

func jsonErrorKind(err error) string {
	var (
		syntax *jsontext.SyntacticError
		kind   *v2json.SemanticError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("syntax error at byte %d", syntax.ByteOffset)
	case errors.As(err, &kind):
		return fmt.Sprintf("a value of kind %s at byte %d is none of %s", kind.JSONKind, kind.ByteOffset, kind.GoType)
	}
	return "not a JSON document"
}

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

// answer is what becomes of a pod.
type answer struct {
	uid      string
	patch    []byte // empty: the pod stays as it came
	warnings []string
	audit    map[string]string
	policy   string // see PolicyHeader

	outcome inject.Outcome
	reason  inject.Reason
}

func answerTo(uid string, patch []byte, d *inject.Decision) answer {
	return answer{uid: uid, patch: patch, warnings: warnings(d), audit: audit(d), outcome: d.Outcome, reason: primary(d)}
}

// encode writes the AdmissionReview that admits the pod.
func (a *answer) encode() ([]byte, error) {
	response := &admissionv1.AdmissionResponse{UID: types.UID(a.uid), Allowed: true, Warnings: a.warnings, AuditAnnotations: a.audit}
	if len(a.patch) > 0 {
		response.Patch, response.PatchType = a.patch, new(admissionv1.PatchTypeJSONPatch)
	}
	return json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: apiVersion}, Response: response,
	})
}
