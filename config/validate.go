// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldtrace/coldtrace/startup"
)

// problem is a bad value of one field of the policy.
type problem struct {
	field string
	err   error
}

// problems are all bad values of a policy.
func (p *Policy) problems() []problem {
	var out []problem
	check := func(field string, err error) {
		if err != nil {
			out = append(out, problem{field, err})
		}
	}
	hash, err := startup.ParseHash(string(p.TraceID))
	check("traceID", err)
	if err == nil {
		p.TraceID = hash
	}
	if p.OTLP.Endpoint != "" {
		check("otlp.endpoint", checkEndpoint(p.OTLP.Endpoint))
	}
	_, err = choose(string(p.OTLP.Protocol), GRPC, HTTPProtobuf)
	check("otlp.protocol", err)
	if p.Selection.LabelKey == "" && p.Selection.RequireLabel {
		check("selection.requireLabel", errors.New("needs selection.labelKey"))
	}
	if len(p.Selection.GPUResources) == 0 {
		check("selection.gpuResources", errors.New("is empty: no pod would be selected"))
	}
	// An unquoted off is the boolean false to YAML 1.1, which Helm speaks.
	if p.Wrapper.Delivery == "false" {
		p.Wrapper.Delivery = DeliveryOff
	}
	if p.VLLMFlag == "false" {
		p.VLLMFlag = VLLMFlagOff
	}
	if p.RequestSampling.Sampler == "false" {
		p.RequestSampling.Sampler = "off"
	}
	_, err = choose(string(p.Wrapper.Delivery), deliveries...)
	check("wrapper.delivery", err)
	_, err = choose(p.Wrapper.ImagePullPolicy, "Always", "IfNotPresent", "Never")
	check("wrapper.imagePullPolicy", err)
	for field, value := range map[string]string{"wrapper.cpu": p.Wrapper.CPU, "wrapper.memory": p.Wrapper.Memory} {
		if value != "" {
			check(field, checkQuantity(value))
		}
	}
	check("wrapper.timeout", checkDuration(p.Wrapper.Timeout))
	check("wrapper.flushTimeout", checkDuration(p.Wrapper.FlushTimeout))
	// What an annotation would be asked, the field is asked; empty means that nothing is said.
	for _, f := range [...]struct {
		name, value string
		check       func(string) error
	}{
		{"wrapper.startupz", p.Wrapper.Startupz, checkHostPort}, {"wrapper.statusFile", p.Wrapper.StatusFile, checkPath},
		{"region", p.Region, checkText}, {"clusterName", p.ClusterName, checkText},
	} {
		if f.value != "" {
			check(f.name, f.check(f.value))
		}
	}
	_, err = choose(string(p.VLLMFlag), vllmFlags...)
	check("vllmFlag", err)
	check("requestSampling.sampler", checkSampler(p.RequestSampling.Sampler))
	check("requestSampling.ratio", checkRatio(p.RequestSampling.Ratio))
	_, err = choose(string(p.StartupTraces), KeepStartupTraces, DropStartupTraces)
	check("startupTraces", err)
	if p.CanaryPercent < 0 || p.CanaryPercent > 100 {
		check("canaryPercent", fmt.Errorf("%d is not between 0 and 100", p.CanaryPercent))
	}
	for i, k := range p.KnownImages {
		if k.Image == "" || len(k.Entrypoint)+len(k.Cmd) == 0 {
			check(fmt.Sprintf("knownImages[%d]", i), errors.New("needs image and entrypoint or cmd"))
		}
	}
	return out
}

var (
	deliveries = []Delivery{DeliveryAuto, DeliveryImageVolume, DeliveryInitContainer, DeliveryOff}
	vllmFlags  = []VLLMFlag{VLLMFlagAuto, VLLMFlagAlways, VLLMFlagOff}
	// samplers are the values of OTEL_TRACES_SAMPLER that the SDKs know.
	samplers = []string{
		"always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio", "off",
	}
	variable = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)
	quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$`)
)

// checkEndpoint wants a URL with a scheme, as vLLM and the SDKs do. $(NAME) stands for anything.
func checkEndpoint(s string) error {
	u, err := url.Parse(variable.ReplaceAllString(s, "x"))
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return errors.New("is not an http:// or https:// URL with a host")
	case u.User != nil:
		return errors.New("holds credentials: use OTEL_EXPORTER_OTLP_HEADERS from a Secret")
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

func checkQuantity(s string) error {
	if !quantity.MatchString(s) {
		return fmt.Errorf("%q is not a quantity such as 50m or 64Mi", s)
	}
	return nil
}

func checkDuration(d time.Duration) error {
	if d < 0 {
		return errors.New("is negative")
	}
	return nil
}

func checkSampler(s string) error {
	if !slices.Contains(samplers, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(samplers, ", "))
	}
	return nil
}

func checkRatio(r float64) error {
	if !(r >= 0 && r <= 1) {
		return fmt.Errorf("%v is not between 0 and 1", r)
	}
	return nil
}
