// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/coldtrace/coldtrace/dashboard"
)

func newDashboardCommand() *cobra.Command {
	renderers := map[string]func() ([]byte, error){"grafana": dashboard.Grafana, "datadog": dashboard.Datadog}
	return &cobra.Command{
		Use:   "dashboard {grafana | datadog}",
		Short: "Print the dashboard",
		Long: `Prints the dashboard as JSON: for Grafana to import (Prometheus and Tempo are
chosen there), or for Datadog's API.

docs/dashboards.md says how the metrics get there.`,
		Example: `  coldtrace dashboard grafana > coldtrace.json
  coldtrace dashboard datadog > coldtrace.json`,
		Args:      one("name a dashboard: grafana or datadog", "grafana", "datadog"),
		ValidArgs: []string{"grafana", "datadog"},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := renderers[args[0]]()
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return fmt.Errorf("write dashboard: %w", err)
			}
			return nil
		},
	}
}
