// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/inject"
)

// offline are the flags of the commands that decide without a cluster.
type offline struct {
	file         string
	policyFile   string
	namespace    string
	nsAnnotation map[string]string
	imageVolumes bool
	ask          bool // registries
}

func (o *offline) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.file, "filename", "f", "", "manifest to read; - is standard input")
	f.StringVar(&o.policyFile, "policy", "", "policy file (default: the built-in policy)")
	f.StringVarP(&o.namespace, "namespace", "n", "", "namespace of objects that name none")
	f.StringToStringVar(&o.nsAnnotation, "namespace-annotation", nil, "annotation of the namespace, as key=value")
	f.BoolVar(&o.imageVolumes, "image-volumes", false, "assume that every GPU node can mount images as volumes")
}

// decide is what injection makes of a pod.
func (o *offline) decide(t podTemplate, m manifest, policy *config.Policy) inject.Request {
	return inject.Request{
		Pod:                  t.pod,
		Namespace:            first(t.pod.Metadata.Namespace, m.Namespace, o.namespace),
		NamespaceAnnotations: o.nsAnnotation,
		Policy:               policy,
		ImageVolumes:         o.imageVolumes,
		Version:              version,
	}
}

// policy is the file's, or the default with a wrapper image and an endpoint, so that there is something to show.
func (o *offline) policy() (*config.Policy, error) {
	if o.policyFile != "" {
		store, err := config.Open(o.policyFile)
		if err != nil {
			return nil, err
		}
		return store.Policy(), nil
	}
	policy := config.Default()
	policy.Wrapper.Image = "ghcr.io/coldtrace/coldtrace-wrapper:" + version
	policy.OTLP.Endpoint = "http://coldtrace-collector.coldtrace.svc:4317"
	return policy, nil
}

func newInjectCommand() *cobra.Command {
	var (
		o    offline
		diff bool
	)
	cmd := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Print what the webhook would make of a manifest",
		Long: `Reads pods, and objects with pod templates (Deployment, StatefulSet, Job, CronJob, DaemonSet, LeaderWorkerSet, List),
and prints them as the webhook would admit their pods. Other objects are printed as they are.`,
		Example: `  coldtrace inject -f endpoint.yaml --diff
  kubectl get pod NAME -o yaml | coldtrace inject -f - --policy policy.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy, manifests, err := o.read(cmd.InOrStdin())
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

func (o *offline) read(stdin io.Reader) (*config.Policy, []manifest, error) {
	if o.file == "" {
		return nil, nil, errors.New("name a manifest with -f FILE, or -f - for standard input")
	}
	policy, err := o.policy()
	if err != nil {
		return nil, nil, err
	}
	manifests, err := readManifests(o.file, stdin)
	if err == nil && len(manifests) == 0 {
		err = fmt.Errorf("read manifest: %s holds no object", o.file)
	}
	return policy, manifests, err
}

func (o *offline) inject(cmd *cobra.Command, m manifest, policy *config.Policy, diff bool) error {
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
