// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drillEnv turns on the tests that boot real clusters: they take a minute or two, and root.
const drillEnv = "CLUSTER_DRILL"

// However a cluster ends, nothing of it may be left on the machine.
func TestNothingIsLeftBehind(t *testing.T) {
	if os.Getenv(drillEnv) == "" {
		t.Skipf("set %s=1 to boot and kill real clusters", drillEnv)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	driver := filepath.Join(t.TempDir(), "cluster")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", driver, ".").CombinedOutput(); err != nil {
		t.Fatalf("build driver: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		// until is the progress line after which end is called; empty: after up has returned.
		until string
		end   func(t *testing.T, d *drill)
	}{
		"after down": {end: func(t *testing.T, d *drill) {
			d.run(t, "exec", "--", "kubectl", "run", "pod", "--image="+pauseImage)
			d.run(t, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "pod/pod", "--timeout=60s")
			d.run(t, "down")
		}},
		"after the node was killed": {end: func(t *testing.T, d *drill) {
			d.run(t, "exec", "--", "kubectl", "run", "pod", "--image="+pauseImage)
			d.run(t, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "pod/pod", "--timeout=60s")
			kill(t, d.state(t).Node.PID, syscall.SIGKILL)
		}},
		"after its keeper was killed": {end: func(t *testing.T, d *drill) { kill(t, d.state(t).Keeper.PID, syscall.SIGKILL) }},
		"after both were killed at once and the next down": {end: func(t *testing.T, d *drill) {
			s := d.state(t)
			kill(t, s.Keeper.PID, syscall.SIGSTOP) // it must not notice
			kill(t, s.Node.PID, syscall.SIGKILL)
			kill(t, s.Keeper.PID, syscall.SIGKILL)
			d.run(t, "down")
		}},
		"after Ctrl-C while it boots": {until: "containerd ready", end: func(t *testing.T, d *drill) {
			kill(t, d.up.Process.Pid, syscall.SIGINT)
		}},
		"after up was killed while it boots": {until: "kubelet ready", end: func(t *testing.T, d *drill) {
			kill(t, d.up.Process.Pid, syscall.SIGKILL)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "c")
			d := &drill{driver: driver, dir: dir}
			before := look(t, dir)
			d.start(t, c.until)
			during := look(t, dir)
			if during.processes == 0 || during.cgroups == 0 || len(during.links) == 0 {
				t.Fatalf("the drill sees no cluster to begin with: %+v", during)
			}
			c.end(t, d)
			await(t, func() string { return difference(before, during, look(t, dir)) })
		})
	}
}

// drill is one cluster that will meet an accident.
type drill struct {
	driver, dir string
	up          *exec.Cmd
	output      bytes.Buffer
}

// start boots until a line is printed, or until up has returned.
func (d *drill) start(t *testing.T, until string) {
	t.Helper()
	d.up = exec.Command(d.driver, "--dir", d.dir, "up")
	read, write := net.Pipe()
	d.up.Stdout, d.up.Stderr = write, write
	if err := d.up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.run(t, "down") })
	ended, drained := make(chan error, 1), make(chan struct{})
	go func() {
		err := d.up.Wait()
		write.Close()
		<-drained
		ended <- err
	}()
	seen := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 4096)
		for found := false; ; {
			n, err := read.Read(buf)
			d.output.Write(buf[:n])
			if until != "" && !found && strings.Contains(d.output.String(), until) {
				found = true
				close(seen)
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-seen:
	case err := <-ended:
		if err != nil || until != "" {
			t.Fatalf("up: %v\n%s", err, d.output.String())
		}
		t.Log("\n" + d.output.String())
	}
}

func (d *drill) run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(d.driver, append([]string{"--dir", d.dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (d *drill) state(t *testing.T) state {
	t.Helper()
	s, found, err := readState(layout{run: filepath.Join(d.dir, "run")})
	if err != nil || !found {
		t.Fatalf("read state: %v", err)
	}
	return s
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// traces are what a cluster could leave on the machine.
type traces struct {
	processes  int
	namespaces []string // of those processes
	mounts     []string
	cgroups    int
	links      []string
	iptables   string
	sysctls    string
	folders    []string
}

// look counts what belongs to the cluster in dir, wherever that can be told; of the rest, all there is.
func look(t *testing.T, dir string) traces {
	t.Helper()
	var seen traces
	seen.processes, seen.namespaces = processesOf(dir)
	mounts, err := readMounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if within(dir, m.point) {
			seen.mounts = append(seen.mounts, m.point)
		}
	}
	roots, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, cgroupName(dir))); err == nil {
			seen.cgroups++
		}
	}
	if s, found, err := readState(layout{run: filepath.Join(dir, "run")}); err == nil && found && s.Network.Link != "" {
		seen.links = []string{s.Network.Link}
	}
	for _, tool := range []string{"iptables-save", "iptables-legacy-save"} {
		if path, err := findTool(tool); err == nil {
			out, _ := exec.Command(path).Output()
			seen.iptables += rules(string(out))
		}
	}
	for _, name := range append(slices.Sorted(mapKeys(sysctlMasks)), "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet") {
		b, _ := os.ReadFile("/proc/sys/" + name)
		seen.sysctls += name + "=" + string(b)
	}
	for _, folder := range []string{
		"/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
		"/etc/cni", "/etc/kubernetes", "/opt/cni", "/run/containerd", "/run/netns", "/usr/libexec/kubernetes",
	} {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			seen.folders = append(seen.folders, folder)
		}
	}
	return seen
}

// rules drops the comments, which hold counters and the time.
func rules(save string) string {
	var b strings.Builder
	for line := range strings.Lines(save) {
		if strings.HasPrefix(line, "-A") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// processesOf finds what runs for the cluster: its folder is on the command line, or its namespaces are
// those of a process whose is.
func processesOf(dir string) (int, []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	self, _ := os.Readlink("/proc/self/ns/net")
	var spaces []string
	count := 0
	for _, p := range procs {
		cmdline, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil || !bytes.Contains(cmdline, []byte(dir+"\x00")) && !bytes.Contains(cmdline, []byte(dir+"/")) {
			continue
		}
		count++
		if ns, err := os.Readlink(filepath.Join(p, "ns", "net")); err == nil && ns != self && !slices.Contains(spaces, ns) {
			spaces = append(spaces, ns)
		}
	}
	return count, spaces
}

// difference says what is still there; empty when nothing is.
func difference(before, during, now traces) string {
	var left []string
	add := func(cond bool, what string) {
		if cond {
			left = append(left, what)
		}
	}
	add(now.processes > 0, "processes")
	procs, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, p := range procs {
		ns, err := os.Readlink(p)
		add(err == nil && slices.Contains(during.namespaces, ns), "a process in the node's network: "+p)
	}
	add(len(now.mounts) > 0, "mounts "+strings.Join(now.mounts, " "))
	add(now.cgroups > 0, "cgroups")
	for _, link := range during.links {
		add(linkExists(link), "link "+link)
	}
	add(now.iptables != before.iptables, "iptables rules:\n"+now.iptables)
	add(now.sysctls != before.sysctls, "sysctls:\n"+now.sysctls)
	add(!slices.Equal(now.folders, before.folders), "folders "+strings.Join(now.folders, " "))
	return strings.Join(left, "\n")
}

// await polls until left is empty.
func await(t *testing.T, left func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := poll(ctx, nil, func(context.Context) error {
		if l := left(); l != "" {
			return errors.New(l)
		}
		return nil
	}); err != nil {
		t.Errorf("left behind: %v", err)
	}
}
