// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/coldtrace/coldtrace/endpoint"
	"github.com/coldtrace/coldtrace/inject"
	"github.com/coldtrace/coldtrace/inject/registry"
)

// lookup asks a registry for the entrypoint where the webhook would, if it is told to, and says what came of it; empty if
// the webhook would not ask. The webhook uses the pod's pull secrets, this the credentials of whoever runs it.
func (o *dryRun) lookup(ctx context.Context, req *inject.Request) string {
	image, wanted := inject.WantsEntrypoint(*req)
	switch {
	case !wanted:
		return ""
	case !o.ask:
		return "the policy has the webhook ask the registry of " + image + " for its ENTRYPOINT; --lookup asks it from here"
	}
	own := func(context.Context, string, *endpoint.Pod) (authn.Keychain, error) {
		return authn.DefaultKeychain, nil
	}
	registries := registry.New(own, 15*time.Second) // nothing waits for this one but a person
	command, err := registries.Lookup(ctx, req.Namespace, req.Pod, image)
	if err != nil {
		return "the registry of " + image + " does not tell its ENTRYPOINT: " + err.Error()
	}
	req.Entrypoint, req.Cmd = command.Entrypoint, command.Cmd
	if len(command.Entrypoint)+len(command.Cmd) == 0 {
		return image + " has neither ENTRYPOINT nor CMD"
	}
	return "the registry of " + image + " told its ENTRYPOINT; the webhook has one second for that"
}
