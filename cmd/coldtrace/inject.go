// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/cluster"
	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
)

// dryRun are the flags of the commands that decide as the webhook would, about a manifest or what is in a cluster.
type dryRun struct {
	files        []string
	policyFile   string
	config       *genericclioptions.ConfigFlags
	nsAnnotation map[string]string
	imageVolumes bool
	ask          bool // registries
	installed    *installed
}

func (o *dryRun) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVarP(&o.files, "filename", "f", nil, "manifest to read, one or more; - is standard input")
	f.StringVar(&o.policyFile, "policy", "", "policy file (default: in a cluster the installed one, else the built-in one)")
	o.config = genericclioptions.NewConfigFlags(true)
	o.config.AddFlags(f)
	f.StringToStringVar(&o.nsAnnotation, "namespace-annotation", nil, "annotation of the namespace, as key=value")
	f.BoolVar(&o.imageVolumes, "image-volumes", false, "assume that every GPU node can mount images as volumes")
}

// decide is what injection makes of a pod.
func (o *dryRun) decide(t podTemplate, m manifest, policy *config.Policy) inject.Request {
	req := inject.Request{
		Pod:                  t.pod,
		Namespace:            cmp.Or(t.pod.Metadata.Namespace, m.Namespace, *o.config.Namespace),
		NamespaceAnnotations: o.nsAnnotation,
		Policy:               policy,
		ImageVolumes:         o.imageVolumes,
		LogsForbidden:        true, // as the chart has it by default
		Version:              version,
	}
	if o.installed != nil {
		o.installed.apply(&req, m)
	}
	return req
}

// builtIns is what is judged by where nobody names a policy.
const builtIns = "the built-in policy, with an OTLP endpoint and a wrapper image made up, since it names none"

// policy is the file's, or the default with a wrapper image and an endpoint, so that there is something to show.
func (o *dryRun) policy() (*config.Policy, error) {
	if o.policyFile != "" {
		store, err := readPolicy(o.policyFile)
		if err != nil {
			return nil, err
		}
		return store.Policy(), nil
	}
	policy := config.Default()
	policy.Wrapper.Image = "ghcr.io/coldtrace/coldtrace-wrapper:" + strings.TrimPrefix(version, "v") // as a release pushes it
	policy.OTLP.Endpoint = "http://coldtrace-collector.coldtrace-system.svc:4317"
	return policy, nil
}

// readPolicy reads the file that --policy names; without one it is the defaults.
func readPolicy(file string) (*config.Store, error) {
	if file != "" {
		f, err := open(file)
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		f.Close()
	}
	return config.Open(file) //nolint:wrapcheck // names the file
}

func newInjectCommand() *cobra.Command {
	var (
		o    dryRun
		diff bool
	)
	cmd := &cobra.Command{
		Use:   "inject {-f FILE | KIND/NAME}",
		Short: "Print what the webhook would make of a manifest",
		Long: `Reads pods, and objects with pod templates (Deployment, StatefulSet, Job,
CronJob, DaemonSet, LeaderWorkerSet, List), and prints them as the webhook would
admit their pods. Other objects are printed as they are. What is in a cluster
goes by the policy that is installed there, the nodes and the breaker, unless
--policy names another. Nothing is changed there.`,
		Example: `  coldtrace inject -f endpoint.yaml --diff
  coldtrace inject -n models deploy/llama --diff`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, manifests, err := o.read(cmd, &prose{w: cmd.ErrOrStderr(), columns: helpWidth}, args)
			if err != nil {
				return err
			}
			for i, m := range manifests {
				if i > 0 && !diff {
					fmt.Fprintln(cmd.OutOrStdout(), "---")
				}
				if err := o.inject(cmd, m, policy, diff); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&diff, "diff", false, "print only the change")
	return cmd
}

// read reads what is to be decided about, and the policy to go by. What a reader has to know of a cluster goes to w.
func (o *dryRun) read(cmd *cobra.Command, w *prose, names []string) (*config.Policy, []manifest, error) {
	switch {
	case len(o.files) == 0 && len(names) == 0:
		return nil, nil, errors.New("name a manifest with -f FILE, or -f - for standard input, or what is in the cluster, such as deploy/llama -n models")
	case len(o.files) == 0 && isFile(names[0]):
		return nil, nil, fmt.Errorf("%s is a file: give it with -f %s", names[0], names[0])
	case unnamed(names) != nil:
		return nil, nil, unnamed(names)
	case len(o.files) > 0 && len(names) > 0:
		return nil, nil, errors.New("name a manifest with -f, or what is in the cluster: not both")
	}
	policy, err := o.policy()
	if err != nil {
		return nil, nil, err
	}
	if len(names) > 0 {
		manifests, err := o.fetch(cmd.Context(), w, names)
		if o.installed != nil {
			policy = o.installed.policy
		}
		return policy, manifests, err
	}
	var manifests []manifest
	for _, file := range o.files {
		in, err := readManifests(file, cmd.InOrStdin())
		if err == nil && len(in) == 0 {
			err = fmt.Errorf("read manifest: %s holds no object", file)
		}
		if err != nil {
			return nil, nil, err
		}
		manifests = append(manifests, in...)
	}
	for _, warning := range unknownKinds(manifests) {
		cmd.PrintErrln("warning:", warning)
	}
	for _, m := range manifests {
		for _, field := range m.unknown {
			w.remark(field + ", which counts for nothing here: is it misspelt, or wrongly indented?")
		}
	}
	return policy, manifests, nil
}

// fetch reads objects of a cluster, and by what they are judged there.
func (o *dryRun) fetch(ctx context.Context, w *prose, names []string) ([]manifest, error) {
	client, namespace, err := connect(o.config)
	if err != nil {
		return nil, takenForPods(names, err)
	}
	objects, err := cluster.Objects(o.config, namespace, names)
	if err != nil {
		return nil, nextStep(takenForPods(names, err), namespace)
	}
	in, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get namespace: %w", err)
	}
	if o.nsAnnotation == nil {
		o.nsAnnotation = in.Annotations
	}
	if o.policyFile == "" {
		if o.installed, err = readInstalled(ctx, client); err != nil {
			w.remark(fmt.Sprintf("The installed policy could not be read, so this goes by %s: %v", builtIns, err))
		}
	}
	switch value := in.Labels[config.NamespaceLabel]; {
	case o.installed != nil && o.installed.watching:
		w.remark("coldtrace only watches here (webhook.enabled is false) and adds nothing to pods: this is what the webhook would do.")
	case value != config.NamespaceValue:
		w.remark(fmt.Sprintf("Namespace %s does not carry the label %s=%s (it has %q): the webhook never sees its pods.",
			namespace, config.NamespaceLabel, config.NamespaceValue, value))
	}
	manifests := make([]manifest, len(objects))
	for i, object := range objects {
		object.SetManagedFields(nil)
		raw, err := object.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("read %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if manifests[i], err = newManifest(raw); err != nil {
			return nil, err
		}
	}
	return manifests, nil
}

func (o *dryRun) inject(cmd *cobra.Command, m manifest, policy *config.Policy, diff bool) error {
	after := m.raw
	for _, t := range m.pods {
		ops, decision := inject.Pod(o.decide(t, m, policy))
		for _, w := range decision.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		if len(ops) == 0 {
			continue
		}
		for i := range ops {
			ops[i].Path = t.path + ops[i].Path
		}
		encoded, err := json.Marshal(ops)
		if err != nil {
			return fmt.Errorf("encode patch: %w", err)
		}
		patch, err := jsonpatch.DecodePatch(encoded)
		if err != nil {
			return fmt.Errorf("decode patch: %w", err)
		}
		// A template may have no metadata at all.
		opts := jsonpatch.NewApplyOptions()
		opts.EnsurePathExistsOnAdd = true
		opts.EscapeHTML = false
		if after, err = patch.ApplyWithOptions(after, opts); err != nil {
			return fmt.Errorf("apply patch to %s %q: %w", m.Kind, m.Name, err)
		}
	}
	from, err := yaml.JSONToYAML(m.raw)
	if err != nil {
		return fmt.Errorf("print %s %q: %w", m.Kind, m.Name, err)
	}
	to, err := yaml.JSONToYAML(after)
	if err != nil {
		return fmt.Errorf("print %s %q: %w", m.Kind, m.Name, err)
	}
	if !diff {
		_, err = cmd.OutOrStdout().Write(to)
		return err
	}
	name := strings.ToLower(m.Kind) + "/" + m.Name
	return difflib.WriteUnifiedDiff(cmd.OutOrStdout(), difflib.UnifiedDiff{
		A: difflib.SplitLines(string(from)), B: difflib.SplitLines(string(to)),
		FromFile: name, ToFile: name + " (injected)", Context: 3,
	})
}
