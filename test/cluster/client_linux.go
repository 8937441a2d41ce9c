// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

var errNotUp = errors.New("no cluster is up: run `make cluster-up`")

// ask sends one request to the node and waits for the answer.
func ask(l layout, req request, streams ...*os.File) (response, error) {
	s, found, err := readState(l)
	if err != nil {
		return response{}, err
	}
	if !found || !s.Node.alive() {
		return response{}, errNotUp
	}
	short, done, err := shortPath(l.socket())
	if err != nil {
		return response{}, err
	}
	defer done()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return response{}, fmt.Errorf("reach node: %w", err)
	}
	defer conn.Close()
	b, err := json.Marshal(req)
	if err != nil {
		return response{}, fmt.Errorf("encode request: %w", err)
	}
	var rights []byte
	if len(streams) > 0 {
		var fds []int
		for _, f := range streams {
			fds = append(fds, int(f.Fd()))
		}
		rights = syscall.UnixRights(fds...)
	}
	if _, _, err := conn.WriteMsgUnix(b, rights, nil); err != nil {
		return response{}, fmt.Errorf("send request: %w", err)
	}
	var resp response
	if err := json.NewDecoder(conn).Decode(&resp); err != nil {
		return response{}, fmt.Errorf("read answer: %w", err)
	}
	if resp.Error != "" {
		return resp, errors.New(resp.Error)
	}
	return resp, nil
}

func startAddon(ctx context.Context, l layout, out *progress, name string) error {
	a, ok := addons[name]
	if !ok {
		return fmt.Errorf("start %s: no such add-on", name)
	}
	if err := buildAll(ctx, l, out, a.bin); err != nil {
		return err
	}
	return out.step(name+" ready", func() error {
		_, err := ask(l, request{Op: opStart, Name: name})
		return err
	})
}

func stopAddon(l layout, out *progress, name string) error {
	return out.step(name+" stopped", func() error {
		_, err := ask(l, request{Op: opStop, Name: name})
		return err
	})
}

// execNode runs a command in the node with our streams and returns its exit code.
func execNode(l layout, argv []string) (int, error) {
	resp, err := ask(l, request{Op: opExec, Argv: argv}, os.Stdin, os.Stdout, os.Stderr)
	return resp.ExitCode, err
}

// status exits with 3 when no cluster is up, as service managers do.
func status(l layout, w io.Writer) (int, error) {
	s, found, err := readState(l)
	if err != nil {
		return 1, err
	}
	if !found || !s.Keeper.alive() {
		fmt.Fprintln(w, "No cluster is up.")
		return 3, nil
	}
	fmt.Fprintf(w, "%-12s %s since %s\n%-12s %s\n", "cluster", s.Mode, s.Started.Format(time.DateTime), "kubeconfig", l.kubeconfig())
	if s.Mode != modeNode {
		return 0, nil
	}
	fmt.Fprintf(w, "%-12s %s (process %d)\n%-12s %s:%s\n", "node", s.Network.NodeIP, s.Node.PID, "registry", s.Network.NodeIP, registryPort)
	resp, err := ask(l, request{Op: opStatus})
	if err != nil {
		return 1, err
	}
	for _, name := range slices.Sorted(mapKeys(resp.Running)) {
		fmt.Fprintf(w, "  ✓ %s\n", name)
	}
	for _, name := range slices.Sorted(mapKeys(resp.Ended)) {
		fmt.Fprintf(w, "  ✗ %s ended with exit code %d: %s\n", name, resp.Ended[name], l.log(name))
	}
	return 0, nil
}
