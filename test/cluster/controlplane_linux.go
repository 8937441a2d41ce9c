// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// loopbackServices is a range that nothing routes to: without a node there is no one to serve it.
const (
	loopbackServices  = "10.0.0.0/24"
	loopbackServiceIP = "10.0.0.1"
)

// controlPlane is etcd, the API server and the controllers as plain processes on loopback: enough for
// admission, and possible without root.
type controlPlane struct {
	l     layout
	state state
	out   *progress
	// died gets the first process that ended by itself.
	died chan error
}

// runControlPlane is to the control plane what the keeper is to a node.
func runControlPlane(l layout) error {
	// The kernel kills the children when the thread that started them ends: they never outlive us, not
	// even after SIGKILL.
	runtime.LockOSThread()
	signal.Ignore(syscall.SIGHUP)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	progressPipe := os.NewFile(progressFD, "progress")
	launchPipe := os.NewFile(launchFD, "launch")
	syscall.CloseOnExec(progressFD)
	syscall.CloseOnExec(launchFD)
	go func() {
		b := make([]byte, 1)
		if n, _ := io.ReadFull(launchPipe, b); n == 0 || b[0] != stayByte {
			stop()
		}
	}()

	self, err := findProcess(os.Getpid())
	if err != nil {
		return err
	}
	cp := &controlPlane{
		l:     l,
		state: state{Mode: modeControlPlane, Keeper: self, Started: time.Now()},
		out:   newProgress(progressPipe),
		died:  make(chan error, 1),
	}
	if err := cp.boot(ctx); err != nil {
		fmt.Fprintln(progressPipe, failedLine+err.Error())
		return err
	}
	fmt.Fprintln(progressPipe, readyLine)
	if err := progressPipe.Close(); err != nil {
		return fmt.Errorf("close progress: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-cp.died:
		return err
	}
}

func (cp *controlPlane) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	l := cp.l
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return err
	}
	etcd, peer, server := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1], "https://127.0.0.1:"+ports[2]
	if err := cp.configure(server); err != nil {
		return err
	}
	if err := cp.start(ctx, "etcd", etcdArgs(l, etcd, peer), httpOK(etcd+"/readyz")); err != nil {
		return err
	}
	api, err := newAPI(l, server)
	if err != nil {
		return err
	}
	if err := cp.start(ctx, "kube-apiserver", apiServerArgs(l, etcd, "127.0.0.1", ports[2], loopbackServices), api.ready); err != nil {
		return err
	}
	// Port 0 is none: nobody asks the controllers anything.
	return cp.start(ctx, "kube-controller-manager", append(controllerManagerArgs(l), "--secure-port=0"),
		api.exists("/api/v1/namespaces/default/serviceaccounts/default"))
}

func (cp *controlPlane) configure(server string) error {
	if err := writePKI(filepath.Join(cp.l.run, "pki"), nodeName, []string{loopbackServiceIP}); err != nil {
		return err
	}
	if err := writeConf(cp.l, "audit.yaml", cp.l.conf("audit.yaml"), settings{}); err != nil {
		return err
	}
	if err := writeKubeconfig(cp.l, cp.l.conf("controller-manager.kubeconfig"), server, "controller-manager"); err != nil {
		return err
	}
	if err := writeKubeconfig(cp.l, cp.l.kubeconfig(), server, "admin"); err != nil {
		return err
	}
	return writeEnv(cp.l, network{})
}

func (cp *controlPlane) start(ctx context.Context, name string, argv []string, check func(context.Context) error) error {
	begin := time.Now()
	log, err := os.Create(cp.l.log(name))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer log.Close()
	// ctx bounds the wait, not the process.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p, err := findProcess(cmd.Process.Pid)
	if err != nil {
		return err
	}
	cp.state.Children = append(cp.state.Children, p)
	if err := cp.state.write(cp.l); err != nil {
		return err
	}
	w := &waiter{cmd: cmd, done: make(chan struct{})}
	go func() {
		err := w.wait()
		select {
		case cp.died <- fmt.Errorf("%s ended: %w", name, errors.Join(err, errors.New(tail(cp.l.log(name))))):
		default:
		}
	}()
	if err := poll(ctx, w, check); err != nil {
		return fmt.Errorf("wait for %s: %w\n%s", name, err, tail(cp.l.log(name)))
	}
	cp.out.done(name+" ready", time.Since(begin))
	return nil
}

// waiter adapts an exec.Cmd to poll.
type waiter struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (w *waiter) wait() error {
	err := w.cmd.Wait()
	close(w.done)
	return err
}

func (w *waiter) ended() <-chan struct{} { return w.done }
func (w *waiter) exitCode() int          { return w.cmd.ProcessState.ExitCode() }

// freePorts are ports that the kernel gives no client before the servers listen there: they lie below Linux's ip_local_port_range
// (32768) and Kubernetes' node ports (30000). All are held until the last is known, so that they differ.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var ports []string
	for range 1000 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000)) //nolint:gosec // no secret
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer ln.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("%d free ports of 20000 to 29999 could not be found", n)
}
