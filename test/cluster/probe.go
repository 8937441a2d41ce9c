// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// pollEvery is short because start-up time is what people wait for.
const pollEvery = 30 * time.Millisecond

// ended is a process that poll watches.
type ended interface {
	ended() <-chan struct{}
	exitCode() int
}

// poll repeats check until it passes. It gives up when ctx is done or the process p, if any, has ended.
func poll(ctx context.Context, p ended, check func(context.Context) error) error {
	var done <-chan struct{}
	if p != nil {
		done = p.ended()
	}
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := check(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("it ended with exit code %d", p.exitCode())
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w", context.Cause(ctx), err)
		case <-time.After(pollEvery):
		}
	}
}

func tcpOpen(address string) func(context.Context) error { return open("tcp", address) }

func socketOpen(path string) func(context.Context) error { return open("unix", path) }

func open(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return conn.Close()
	}
}

func httpOK(url string) func(context.Context) error { return answers(http.DefaultClient, url) }

// httpsOK trusts any certificate: it only asks a component on loopback whether it is alive.
func httpsOK(url string) func(context.Context) error {
	return answers(&http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback, see above
		DisableKeepAlives: true,
	}}, url)
}

func answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("ask %s: %s", url, resp.Status)
		}
		return nil
	}
}

// addonReady is the add-on's own check.
func addonReady(a addon, n network) func(context.Context) error {
	if a.ready == nil {
		return func(context.Context) error { return nil }
	}
	target := a.ready(n)
	if strings.Contains(target, "://") {
		return httpOK(target)
	}
	return tcpOpen(target)
}

// tail is the end of a log, for an error message.
func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return file + ":\n" + string(bytes.Join(lines, []byte("\n")))
}
