// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// kindsOfValue are what people call what stands in a manifest, by what Go calls where it should have fitted.
var kindsOfValue = map[reflect.Kind]string{
	reflect.String: "a text", reflect.Slice: "a list", reflect.Map: "an object", reflect.Struct: "an object", reflect.Bool: "true or false",
}

// gosWords are what parsers put before what they say.
var gosWords = strings.NewReplacer("error unmarshaling JSON: ", "", "while decoding JSON: ", "", "error converting YAML to JSON: yaml: ", "no YAML: ", "json: unknown field", "there is no field", "yaml: ", "no YAML: ")

// slip says what is wrong in a manifest in the words of whoever wrote it: "metadata.labels: a number, where a text belongs".
func slip(raw []byte, err error) error {
	var (
		wrong  *json.UnmarshalTypeError
		noTime *time.ParseError
	)
	switch {
	case errors.As(err, &noTime):
		return fmt.Errorf("%s is no time, as \"2026-03-01T10:00:00Z\" is", noTime.Value)
	case errors.Is(err, resource.ErrFormatWrong):
		var object any
		if json.Unmarshal(raw, &object) == nil {
			if field, value := noQuantity(object); field != "" {
				return fmt.Errorf("%s: %s is no quantity, as 1, 500m and 80Gi are", field, value)
			}
		}
	case errors.As(err, &wrong):
		belongs, ok := kindsOfValue[wrong.Type.Kind()]
		if !ok {
			belongs = "a number"
		}
		is := cmp.Or(map[string]string{"string": "a text", "array": "a list", "object": "an object", "bool": "true or false"}[wrong.Value], "a number")
		said := errors.New(gosWords.Replace(strings.Replace(err.Error(), wrong.Error(), fmt.Sprintf("%s: %s, where %s belongs", cmp.Or(wrong.Field, "the whole of it"), is, belongs), 1)))
		if wrong.Type.Kind() == reflect.String && (is == "a number" || is == "true or false") {
			return fmt.Errorf("%w: put it in quotes", said)
		}
		return said
	case err == nil:
		return nil
	}
	return errors.New(gosWords.Replace(err.Error()))
}

// noQuantity finds a resource whose amount is none, within what resources stand in.
func noQuantity(in any) (field, value string) {
	switch in := in.(type) {
	case []any:
		for _, item := range in {
			if field, value = noQuantity(item); field != "" {
				return field, value
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(in)) {
			amounts, ok := in[key].(map[string]any)
			if ok && (key == "limits" || key == "requests") {
				for _, name := range slices.Sorted(maps.Keys(amounts)) {
					if amounts[name] == nil {
						continue // which is none, and allowed
					}
					if _, err := resource.ParseQuantity(fmt.Sprint(amounts[name])); err != nil {
						return key + "." + name, fmt.Sprintf("%q", fmt.Sprint(amounts[name]))
					}
				}
			}
			if field, value = noQuantity(in[key]); field != "" {
				return field, value
			}
		}
	}
	return "", ""
}
