package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// kubernetesVersion is the release whose API is served.
const kubernetesVersion = "v1.36.3"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the program and of the API it serves",
		Args:  arguments(0, 0, "gatehouse version"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// version begins with what kube-apiserver --version prints.
func version() string {
	return fmt.Sprintf("Kubernetes %s (gatehouse %s, %s)", kubernetesVersion, buildVersion(), runtime.Version())
}

// buildVersion is the version of the module, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
