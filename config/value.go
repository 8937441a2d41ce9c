// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/coldtrace/coldtrace/engine"
	"github.com/coldtrace/coldtrace/startup"
)

// value is where a setting stands and what it may be.
type value struct {
	of    []string                      // all it may be; nil: more than a few
	set   func(*Settings, string) error // to what an annotation says; what is refused changes nothing
	check func(*Settings) error         // what a policy file says; nil: it can't say it
	text  func(*Settings) string        // as a variable has it; empty: it is the default
}

// at is a value of any kind. The default is good, whatever check says: an empty text is that nothing is said.
func at[T comparable](of func(*Settings) *T, parse func(string) (T, error), check func(T) error) value {
	standard := *of(&Settings{Policy: *Default()})
	return value{
		set: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				err = check(v)
			}
			if err == nil {
				*of(s) = v
			}
			return err
		},
		check: func(s *Settings) error {
			if v := *of(s); v != standard {
				return check(v)
			}
			return nil
		},
		text: func(s *Settings) string {
			if v := *of(s); v != standard {
				return fmt.Sprint(v)
			}
			return ""
		},
	}
}

func text(of func(*Settings) *string, check func(string) error) value {
	return at(of, func(s string) (string, error) { return s, nil }, check)
}

// oneOf is a value out of a closed list. In a file an empty one is the default, and false is off: an unquoted off is the
// boolean to YAML 1.1, which Helm speaks.
func oneOf[T ~string](of func(*Settings) *T, list ...T) value {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = string(v)
	}
	check := func(v T) error {
		if !slices.Contains(list, v) {
			return fmt.Errorf("%q is not one of %s", v, strings.Join(names, ", "))
		}
		return nil
	}
	v := at(of, func(s string) (T, error) { return T(s), nil }, check)
	v.of = names
	v.check = func(s *Settings) error {
		switch said := of(s); {
		case *said == "":
			*said = *of(&Settings{Policy: *Default()})
		case *said == "false" && slices.Contains(list, "off"):
			*said = "off"
		}
		return check(*of(s))
	}
	return v
}

// words are a list that only annotations say.
func words(of func(*Settings) *[]string) value {
	return value{set: func(s *Settings, text string) error {
		var list []string
		if json.Unmarshal([]byte(text), &list) != nil {
			return fmt.Errorf("%q is not a list of texts such as [\"a\", \"b\"]", text)
		}
		*of(s) = list
		return nil
	}}
}

// rule is what a policy has to keep to, in a field that only a policy has.
func rule(check func(*Policy) error) value {
	return value{check: func(s *Settings) error { return check(&s.Policy) }}
}

func checkName(v string) error {
	if v == "" || len(v) > 63 {
		return fmt.Errorf("%q is not a container's name", v)
	}
	return nil
}

// checkText keeps attribute values short and free of control characters.
func checkText(v string) error {
	if v == "" || len(v) > 253 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("is empty, longer than 253 bytes or holds control characters")
	}
	return nil
}

func checkCount(v string) error {
	if n, err := strconv.Atoi(v); err != nil || n < 0 {
		return fmt.Errorf("%q is not a number", v)
	}
	return nil
}

func checkPath(v string) error {
	if !strings.HasPrefix(v, "/") || checkText(v) != nil {
		return fmt.Errorf("%q is not an absolute path", v)
	}
	return nil
}

func checkAddress(v string) error {
	_, err := engine.ParseAddress(v)
	return err
}

var variable = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)

// checkEndpoint wants a URL with a scheme, as vLLM and the SDKs do. $(NAME) stands for anything.
func checkEndpoint(s string) error {
	u, err := url.Parse(variable.ReplaceAllString(s, "x"))
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("is not an http:// or https:// URL with a host")
	case u.User != nil:
		return errors.New("holds credentials: name the endpoint in the container, beside OTEL_EXPORTER_OTLP_HEADERS from a Secret, or send to a collector of your own")
	case strings.ContainsAny(s, " \t\n\"'`\\"), strings.Contains(variable.ReplaceAllString(s, ""), "$"):
		return errors.New("holds a character that a shell would read")
	}
	return nil
}

func checkHostPort(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

// atLeast wants a quantity that the init container can run with: of nothing it would have no QoS class, and in the 64 bytes
// of a forgotten unit it could not start, and with it the pod.
func atLeast(least string) func(string) error {
	floor := resource.MustParse(least)
	return func(s string) error {
		q, err := resource.ParseQuantity(s)
		if err != nil {
			return fmt.Errorf("%q is not a quantity such as 50m or 64Mi", s)
		}
		if q.Cmp(floor) < 0 {
			return fmt.Errorf("%q is less than %s", s, least)
		}
		return nil
	}
}

// checkImages names the first entry that could match no image.
func checkImages(list []KnownImage) error {
	for i, k := range list {
		_, err := path.Match(k.Image, "")
		switch {
		case k.Image == "" || len(k.Entrypoint)+len(k.Cmd) == 0:
			return fmt.Errorf("number %d needs image and entrypoint or cmd", i+1)
		case err != nil:
			return fmt.Errorf("number %d: %q is not a pattern", i+1, k.Image)
		case strings.Contains(k.Image, "@"):
			return fmt.Errorf("number %d: images are compared without a digest: leave out what follows the @", i+1)
		}
	}
	return nil
}

// checkResources names the first pattern that would match no resource, or all.
func checkResources(names []string) error {
	for _, name := range names {
		if prefix := strings.TrimSuffix(name, "*"); prefix == "" || strings.ContainsAny(prefix, "*' ") {
			return fmt.Errorf("%q is not a resource's name, or its beginning and a *", name)
		}
	}
	if len(names) == 0 {
		return errors.New("is empty: no pod would be selected")
	}
	return nil
}

func checkDuration(d time.Duration) error {
	if d < 0 {
		return errors.New("is negative")
	}
	return nil
}

// checkFlush wants what the wrapper waits for, which would cut anything longer short.
func checkFlush(d time.Duration) error {
	if d > startup.MaxFlushTimeout {
		return fmt.Errorf("%s is more than %s: a pod that is told to end has 30 s in all", d, startup.MaxFlushTimeout)
	}
	return checkDuration(d)
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30m", v)
	}
	return d, nil
}

func parseNumber(v string) (float64, error) {
	r, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	return r, nil
}

func checkRatio(r float64) error {
	if !(r >= 0 && r <= 1) {
		return fmt.Errorf("%v is not between 0 and 1", r)
	}
	return nil
}
