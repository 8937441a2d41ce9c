// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/startup"
	"github.com/coldtrace/coldtrace/trace"
	"github.com/coldtrace/coldtrace/webhook"
)

type checkOptions struct {
	policy, namespace, service, configuration, caFile string
	webhook                                           bool
}

func newCheckCommand() *cobra.Command {
	o := checkOptions{}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check an installation from inside: policy, an admission, a span",
		Long: `Checks an installation from inside the cluster, as helm test does: whether the
policy is in force, one admission through the Service, one span to the OTLP
endpoint. With --webhook=false only the span is sent, from wherever it runs.`,
		Example: `  coldtrace check --webhook=false --policy policy.yaml`,
		Args:    nothing,
		RunE:    func(cmd *cobra.Command, _ []string) error { return check(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "", "policy file; empty: the defaults")
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the installation")
	f.StringVar(&o.service, "service", "coldtrace", "name of the webhook's Service")
	f.StringVar(&o.configuration, "webhook-configuration", "coldtrace", "name of the MutatingWebhookConfiguration, for its CA bundle")
	f.BoolVar(&o.webhook, "webhook", true, "the installation admits pods; false: it only watches")
	f.StringVar(&o.caFile, "ca-file", "", "CA bundle in a file instead")
	return cmd
}

func check(ctx context.Context, out io.Writer, o checkOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	store, err := readPolicy(o.policy)
	if err != nil {
		return err
	}
	target := store.Policy().OTLP
	switch {
	case target.Endpoint != "":
	case o.webhook:
		return errors.New("there is no OTLP endpoint, so pods are left as they are: set otlp.endpoint of the policy (--policy), or the chart's collector.enabled")
	default:
		return errors.New("there is no OTLP endpoint, so no span is sent: set otlp.endpoint of the policy (--policy), or the chart's collector.enabled")
	}
	if o.webhook {
		if err := o.admission(ctx, out, store.Policy().Digest); err != nil {
			return err
		}
	}
	if strings.Contains(target.Endpoint, "$(") {
		fmt.Fprintln(out, "OTLP: not tried, the variables of the endpoint's address are the pods'")
		return nil
	}
	if err := sendSpan(ctx, store.Policy()); err != nil {
		return fmt.Errorf("send a span to %s (otlp.endpoint, by otlp.protocol %s): %w", target.Endpoint, target.Protocol, notTaken(err))
	}
	fmt.Fprintf(out, "OTLP to %s: one span accepted\n", target.Endpoint)
	return nil
}

// admission tries one through the Service.
func (o checkOptions) admission(ctx context.Context, out io.Writer, digest string) error {
	bundle, err := o.caBundle(ctx)
	if err != nil {
		return err
	}
	host := o.service + "." + o.namespace + ".svc"
	patched, err := firstAdmission(ctx, host, bundle, digest)
	if err != nil {
		return fmt.Errorf("admission through %s: %w", host, err)
	}
	fmt.Fprintf(out, "admission through https://%s: answered, certificate trusted, %d patch operations\n", host, patched)
	return nil
}

func (o checkOptions) caBundle(ctx context.Context) ([]byte, error) {
	if o.caFile != "" {
		b, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("read CA bundle: %w", err)
		}
		return b, nil
	}
	restConfig, err := ownCluster()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	w, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, o.configuration, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get webhook configuration: %w", err)
	}
	if len(w.Webhooks) == 0 || len(w.Webhooks[0].ClientConfig.CABundle) == 0 {
		return nil, errors.New("the webhook configuration holds no CA bundle yet")
	}
	return w.Webhooks[0].ClientConfig.CABundle, nil
}

// checkPod is an endpoint that any policy with GPUs would look at. It is never created.
const checkPod = `{"metadata":{"generateName":"coldtrace-check-","annotations":{"coldtrace.io/inject":"true"}},"spec":{"containers":[{"name":"main",` +
	`"image":"check","command":["python3","-m","vllm.entrypoints.openai.api_server"],"resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}`

// How long to wait for what takes a moment after an installation or an upgrade.
const (
	reachableIn = 30 * time.Second // kube-proxy and DNS need far less to know of replicas that are ready
	inForceIn   = 2 * time.Minute  // old replicas leave; a kubelet brings an edited ConfigMap within 71 s
)

// errOtherPolicy tells that a replica answers by another policy than the release's.
var errOtherPolicy = errors.New("the policy in force is not the release's")

// firstAdmission tries until the Service can be reached and answers by the policy of the digest.
func firstAdmission(ctx context.Context, host string, bundle []byte, digest string) (int, error) {
	reach, force := time.After(reachableIn), time.After(inForceIn)
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		patched, err := dryRunAdmission(ctx, host, bundle, digest)
		if errors.Is(err, errOtherPolicy) {
			reach = nil
		} else if !unreachable(err) {
			return patched, err
		}
		select {
		case <-again.C:
		case <-reach:
			return 0, fmt.Errorf("not reached within %s: %w", reachableIn, err)
		case <-force:
			return 0, fmt.Errorf("after %s: %w", inForceIn, err)
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), err)
		}
	}
}

// unreachable says that nothing answered: no name, no route, or nobody listening.
func unreachable(err error) bool {
	var name *net.DNSError
	var op *net.OpError
	return errors.As(err, &name) || errors.As(err, &op) && op.Op == "dial"
}

// dryRunAdmission sends what the API server would send for a dry run and gives back how much would be changed.
func dryRunAdmission(ctx context.Context, host string, bundle []byte, digest string) (int, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return 0, errors.New("the CA bundle holds no certificate")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	defer client.CloseIdleConnections()
	uid := uuid.NewString()
	body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"` + uid + `","operation":"CREATE","dryRun":true,` +
		`"namespace":"coldtrace-check","resource":{"version":"v1","resource":"pods"},"object":` + checkPod + `}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+webhook.Path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get(webhook.PolicyHeader); got != digest {
		return 0, fmt.Errorf("%w: %q, not %q", errOtherPolicy, got, digest)
	}
	var review struct {
		Response struct {
			UID      string
			Allowed  bool
			Patch    []byte
			Warnings []string
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&review); err != nil {
		return 0, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if !review.Response.Allowed || review.Response.UID != uid {
		return 0, errors.New("the answer does not allow the pod")
	}
	var ops []json.RawMessage
	if len(review.Response.Patch) == 0 {
		return 0, fmt.Errorf("an endpoint pod would be left as it is: %s", strings.Join(review.Response.Warnings, "; "))
	}
	if err := json.Unmarshal(review.Response.Patch, &ops); err != nil {
		return 0, fmt.Errorf("read patch: %w", err)
	}
	return len(ops), nil
}

// rpcWords are gRPC's around what the network said.
var rpcWords = regexp.MustCompile(`rpc error: code = Unavailable desc = (?:connection error: desc = )?"?(?:transport: )?([^"]*)"?`)

// notTaken says of an export that nobody took what to look at.
func notTaken(err error) error {
	if !rpcWords.MatchString(err.Error()) && !unanswered(err) {
		return err
	}
	return fmt.Errorf("nobody takes it there: %s; does a collector listen at that address for that protocol, and may it be reached from here?",
		rpcWords.ReplaceAllString(err.Error(), "$1"))
}

// sendSpan sends a span of its own name, in a trace of its own.
func sendSpan(ctx context.Context, policy *config.Policy) error {
	exporter, err := newExporter(ctx, policy)
	if err != nil {
		return err
	}
	now := time.Now()
	subject := startup.Subject{PodUID: uuid.NewString(), PodName: trace.PodOfCheck, ClusterName: policy.ClusterName}
	sendErr := exporter.ExportSpans(ctx, subject, []startup.Span{{
		Name: "coldtrace_check", Key: "coldtrace_check", Start: now.Add(-time.Millisecond), End: now,
	}})
	return errors.Join(sendErr, exporter.Shutdown(ctx))
}
