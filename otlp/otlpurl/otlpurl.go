// SPDX-License-Identifier: Apache-2.0

// Package otlpurl reads OTLP endpoints as people write them. It imports next to nothing, net/url least of all, so that
// a wrapper about to start its command can afford it.
package otlpurl

import (
	"errors"
	"fmt"
	"strings"
)

// URL is an OTLP endpoint.
type URL struct {
	Scheme string // http or https
	User   bool   // it has a user's name in it, and maybe a password
	Host   string // with brackets around an IPv6 address, without a port
	Port   string // empty: none is given
	Path   string

	authority string // as written, but for the brackets
}

// String is the whole.
func (u URL) String() string { return u.Scheme + "://" + u.authority + u.Path }

// Parse reads an OTLP endpoint: a URL, or host:port, which is plain text unless secure. A bare IPv6 host gets its
// brackets: http://$(HOST_IP):4317 lacks them on an IPv6 node. Its errors never quote the endpoint, which may hold a
// password.
func Parse(raw string, secure bool) (URL, error) {
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
		return URL{}, fmt.Errorf("unknown scheme %q in the OTLP endpoint: use http or https", scheme)
	}
	u := URL{Scheme: scheme, Path: ""}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, u.Path = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@')
	u.User = at >= 0
	host := bracket(authority[at+1:])
	u.authority = authority[:at+1] + host
	u.Host = host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		u.Host, u.Port = host[:i], host[i+1:]
	}
	switch {
	case u.Host == "" || u.Host == "[]":
		return URL{}, errors.New("the OTLP endpoint has no host")
	case strings.ContainsAny(u.authority, " \t\r\n\\\"<>^`{|}") || strings.Trim(u.Port, "0123456789") != "",
		strings.HasPrefix(u.Host, "[") != strings.HasSuffix(u.Host, "]"):
		return URL{}, errors.New("the OTLP endpoint is not a URL")
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
	if isAddress(host) && (!isAddress(authority) || port == "4317" || port == "4318") {
		return "[" + host + "]:" + port
	}
	if isAddress(authority) {
		return "[" + authority + "]"
	}
	return authority
}

// isAddress tells an IPv6 address: eight groups of up to four hexadecimal digits, or fewer with one gap.
func isAddress(s string) bool {
	if strings.Count(s, "::") > 1 || strings.Contains(s, ":::") {
		return false
	}
	groups := strings.Split(s, ":")
	filled := 0
	for _, g := range groups {
		if len(g) > 4 || strings.Trim(g, "0123456789abcdefABCDEF") != "" {
			return false
		}
		if g != "" {
			filled++
		}
	}
	if strings.Contains(s, "::") {
		return filled < 8 && (groups[0] != "" || strings.HasPrefix(s, "::")) && (groups[len(groups)-1] != "" || strings.HasSuffix(s, "::"))
	}
	return filled == 8 && len(groups) == 8
}
