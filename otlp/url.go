// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// parseURL reads an OTLP endpoint as people write it: a URL, or host:port, which is plain text unless secure. A bare IPv6 host gets
// its brackets: http://$(HOST_IP):4317 lacks them on an IPv6 node. Its errors never quote the endpoint, which may hold a
// password.
func parseURL(raw string, secure bool) (*url.URL, error) {
	scheme, rest, found := strings.Cut(strings.TrimSpace(raw), "://")
	if !found {
		scheme, rest = "http", scheme
		if secure {
			scheme = "https"
		}
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https":
	case "grpc":
		scheme = "http"
	case "grpcs":
		scheme = "https"
	default:
		return nil, fmt.Errorf("unknown scheme %q in the OTLP endpoint: use http or https", scheme)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@') + 1
	u, err := url.Parse(scheme + "://" + authority[:at] + bracket(authority[at:]) + path)
	switch {
	case err != nil:
		return nil, errors.New("the OTLP endpoint is not a URL")
	case u.Hostname() == "":
		return nil, errors.New("the OTLP endpoint has no host")
	}
	return u, nil
}

// bracket encloses the host of an authority that is a bare IPv6 address, with or without a port.
func bracket(authority string) string {
	if strings.Count(authority, ":") < 2 || strings.Contains(authority, "[") {
		return authority
	}
	// A last group may be a port or part of the address. OTLP's own ports, and what would be no address, are ports.
	i := strings.LastIndexByte(authority, ':')
	host, port := authority[:i], authority[i+1:]
	switch {
	case isAddress(host) && (!isAddress(authority) || port == "4317" || port == "4318"):
		return "[" + host + "]:" + port
	case isAddress(authority):
		return "[" + authority + "]"
	}
	return authority
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
