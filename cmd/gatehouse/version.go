package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/server"
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

// served is what /version says. In the compatible profile that is kube-apiserver's version and nothing more, as kubectl's
// --match-server-version and other clients compare it letter by letter; otherwise it is marked as this server's.
func served(p flags.Profile) apiversion.Info {
	info := server.DefaultVersion("", "")
	if p == flags.Compatible {
		info.GitVersion = kubernetesVersion
	}
	return info
}

// buildVersion is the version of the module, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return info.Main.Version
}
