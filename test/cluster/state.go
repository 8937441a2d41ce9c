// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// state is what a later command needs to find a running cluster and to remove one that was killed.
type state struct {
	Mode   string // modeNode or modeControlPlane
	Keeper process
	Node   process
	// Children are the processes of a bare control plane.
	Children []process
	Network  network
	Cgroup   string
	Started  time.Time
}

const (
	modeNode         = "node"
	modeControlPlane = "control-plane"
)

// process names one process for good: its id may be given to another, its id with its start time not.
type process struct {
	PID   int
	Start string // clock ticks since boot, field 22 of /proc/PID/stat
}

func findProcess(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("find process: %w", err)
	}
	// The second field, the name, may hold blanks and parentheses.
	_, after, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	fields := strings.Fields(after)
	const startField = 22 - 3 // after the name comes field 3
	if len(fields) <= startField {
		return process{}, fmt.Errorf("find process %d: short stat", pid)
	}
	// A zombie is gone, unless threads of it still run.
	const threadsField = 20 - 3
	if fields[0] == "Z" && (fields[threadsField] == "0" || fields[threadsField] == "1") {
		return process{}, fmt.Errorf("find process %d: %w", pid, os.ErrProcessDone)
	}
	return process{PID: pid, Start: fields[startField]}, nil
}

func (p process) alive() bool {
	now, err := findProcess(p.PID)
	return p.PID > 0 && err == nil && now == p
}

// alive tells whether all of it still runs.
func (s state) alive() bool {
	return s.Keeper.alive() && (s.Mode != modeNode || s.Node.alive())
}

func (s state) write(l layout) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	// Renamed, so that no reader sees half of it.
	tmp := l.state() + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(tmp, l.state()); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// readState returns false when no cluster has been started here since the last down.
func readState(l layout) (state, bool, error) {
	b, err := os.ReadFile(l.state())
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, fmt.Errorf("read state: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, false, fmt.Errorf("parse state: %w", err)
	}
	return s, true, nil
}

// writeEnv writes what a shell sources to use the cluster.
func writeEnv(l layout, n network) error {
	var b strings.Builder
	fmt.Fprintf(&b, "export KUBECONFIG=%q\n", l.kubeconfig())
	if n.NodeIP != "" {
		fmt.Fprintf(&b, "export REGISTRY=%q\nexport NODE_IP=%q\nexport HOST_IP=%q\nexport CLUSTER_DNS=%q\n",
			n.NodeIP+":"+registryPort, n.NodeIP, n.HostIP, n.DNSIP)
	}
	fmt.Fprintf(&b, "export PATH=%q:\"$PATH\"\n", l.bin)
	if err := os.WriteFile(l.envFile(), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write env: %w", err)
	}
	return nil
}
